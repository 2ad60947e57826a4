"""A request that a model refuses is refused to its caller, and noted once for whoever runs the model."""

import pytest
from charged_calls import LOCAL, REMOTE, ChargedCalls
from structlog.testing import capture_logs

from cloudyard.domains.inference import ProviderRefused
from cloudyard.testing.upstream import Behaviour


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "deployment"), [(LOCAL, "worker"), (REMOTE, "upstream")])
async def test_a_refusal_is_logged_with_its_deployment(
    calls: ChargedCalls, model: str, deployment: str, streamed: bool
) -> None:
    calls.upstream.behave(Behaviour(status=422))
    with capture_logs() as logs, pytest.raises(ProviderRefused):
        await (calls.stream(model) if streamed else calls.answer(model))
    [entry] = [entry for entry in logs if "scripted 422" in repr(entry)]
    assert (entry["event"], entry["log_level"]) == ("deployment refused", "info")
    assert (entry["model"], entry["deployment"]) == (model, deployment)

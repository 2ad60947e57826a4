"""GET /models: what the caller's key may ask for."""

from openai_stack import Caller, Stack


async def test_models_and_aliases(caller: Caller) -> None:
    body = (await caller.client.get("/models")).json()
    assert body["object"] == "list"
    assert [(model["id"], model["alias_of"]) for model in body["data"]] == [
        ("gpt-4", "parrot"),
        ("parrot", None),
        ("vectors", None),
    ]
    assert {(model["object"], model["owned_by"]) for model in body["data"]} == {("model", "tests")}
    assert all(isinstance(model["created"], int) for model in body["data"])


async def test_a_key_sees_its_models_only(stack: Stack) -> None:
    caller = await stack.caller(allowed_models=["vectors", "gpt-4"])
    names = [model["id"] for model in (await caller.client.get("/models")).json()["data"]]
    assert names == ["gpt-4", "vectors"]
    hidden = await caller.client.get("/models/parrot")
    assert hidden.status_code == 404
    assert hidden.json()["error"]["code"] == "model_not_found"


async def test_a_key_for_a_model_may_use_its_other_names(stack: Stack) -> None:
    caller = await stack.caller(allowed_models=["parrot"])
    names = [model["id"] for model in (await caller.client.get("/models")).json()["data"]]
    assert names == ["gpt-4", "parrot"]


async def test_one_model(caller: Caller) -> None:
    model = (await caller.client.get("/models/gpt-4")).json()
    assert (model["id"], model["alias_of"], model["object"]) == ("gpt-4", "parrot", "model")
    missing = await caller.client.get("/models/org/unheard-of")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"

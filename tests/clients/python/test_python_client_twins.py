"""What both clients have in common, and that together they reach everything the contract has."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudyard_client
import pytest
import smartaihub
from rough_server import RoughServer, error
from smartaihub import AsyncSmartAIHubClient, SmartAIHubClient, SmartAIHubError, _errors
from twins import Client, done, everything, inside

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "clients" / "python"

BROWSERS_GO_THERE = {
    "GET /api/auth/google",
    "GET /api/auth/google/callback",
    "GET /api/auth/oidc/{}",
    "GET /api/auth/oidc/{}/callback",
}


def public(thing: object) -> Iterator[tuple[str, Any]]:
    """Its public parts, those of its parts included, by their dotted names."""
    for name, part in inspect.getmembers(thing):
        if name.startswith("_") or name == "tokens":
            continue
        if callable(part):
            yield name, part
        elif type(part).__module__.startswith("smartaihub._"):
            yield from ((f"{name}.{inner}", method) for inner, method in public(part))


def signature(method: Any) -> str:
    return re.sub(r"\bAsync(?=[A-Z])", "", str(inspect.signature(method))).replace("_async", "_sync")


def test_the_twins_have_the_same_methods() -> None:
    sync, asynchronous = SmartAIHubClient("http://127.0.0.1:1"), AsyncSmartAIHubClient("http://127.0.0.1:1")
    methods = {name: signature(method) for name, method in public(sync)}
    assert methods == {name: signature(method) for name, method in public(asynchronous)}
    assert {"close", "chat.completions.create", "chat.completions.stream", "live.events", "admin.users.list"} <= set(
        methods
    )
    assert signature(SmartAIHubClient) == signature(AsyncSmartAIHubClient)
    sync.close()


def test_everything_is_described() -> None:
    client = SmartAIHubClient("http://127.0.0.1:1")
    assert [name for name, method in public(client) if not inspect.getdoc(method)] == []
    client.close()


def test_the_twin_for_threads_is_as_it_is_made() -> None:
    command = [sys.executable, str(CLIENT / "script" / "make_sync.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", [smartaihub, cloudyard_client, smartaihub.types])
def test_what_is_public_is_listed(module: ModuleType) -> None:
    parts = {name for name, part in vars(module).items() if not name.startswith("_") and not _is_submodule(part)}
    assert parts <= set(module.__all__) | {"ClassVar", "smartaihub", "types"}
    assert all(hasattr(module, name) for name in module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


def _is_submodule(part: object) -> bool:
    return isinstance(part, ModuleType)


def test_every_error_is_public_and_in_the_tree() -> None:
    def below(kind: type[Exception]) -> Iterator[type[Exception]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    assert _errors.__doc__ is not None
    for kind in below(SmartAIHubError):
        assert getattr(smartaihub, kind.__name__) is kind
        assert re.search(rf"── {kind.__name__}\b", _errors.__doc__), kind.__name__
        assert kind.__name__ in (CLIENT / "README.md").read_text()


async def test_every_operation_of_the_contract_can_be_called(twin: type[Client], rough: RoughServer) -> None:
    rough.script(error(404, "RESOURCE_NOT_FOUND"))
    async with inside(twin(rough.url, "key")) as client:
        for name, method in public(client):
            if name not in ("close", "auth.refresh", "auth.sign_in_url", "live.events"):
                await called(method)
    reached = {f"{asked.method} {plain(asked.path)}" for asked in rough.asked} | {"POST /api/auth/refresh"}
    assert reached == operations() - BROWSERS_GO_THERE


async def called(method: Any) -> None:
    """Call a method with an id or a number for everything that it must be given."""
    wanted = [each for each in inspect.signature(method).parameters.values() if each.default is each.empty]
    by_place = ["ID" for each in wanted if each.kind is each.POSITIONAL_OR_KEYWORD]
    by_name = {each.name: [] if each.name == "messages" else "ID" for each in wanted if each.kind is each.KEYWORD_ONLY}
    with suppress(SmartAIHubError):
        answer = method(*by_place, **by_name)
        if hasattr(answer, "pages"):
            await everything(answer)
        elif hasattr(answer, "__enter__") or hasattr(answer, "__aenter__"):
            async with inside(answer):
                pass
        else:
            await done(answer)


def plain(path: str) -> str:
    return re.sub(r"/ID\b", "/{}", path.removeprefix("/aihub").partition("?")[0])


def operations() -> set[str]:
    """Every operation of the surface, ids left out."""
    document = json.loads((ROOT / "contracts" / "aihub.openapi.json").read_text())
    return {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}"
        for path, methods in document["paths"].items()
        for method in methods
    }


def test_a_sign_in_begins_at_the_providers_url() -> None:
    client = SmartAIHubClient("https://api.smartaihub.com/")
    google = client.auth.sign_in_url("google", "https://your-app.com/auth/callback", state="a b")
    assert google == (
        "https://api.smartaihub.com/api/auth/google?redirect_uri=https%3A%2F%2Fyour-app.com%2Fauth%2Fcallback&state=a+b"
    )
    other = client.auth.sign_in_url("work", "https://your-app.com/", code_challenge="c")
    assert other.startswith("https://api.smartaihub.com/api/auth/oidc/work?")
    client.close()

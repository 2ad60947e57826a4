"""The scripts of the README: their shell, and what they say when something is missing."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
SCRIPTS = (
    "script/up",
    "script/test",
    "script/lock",
    "script/bench",
    "script/new-migration",
    "script/environment.sh",
    ".ci/run",
)

OLD_PYTHON = '#!/bin/sh\ncase "$*" in --version) echo "Python 3.10.4" ;; *) exit 1 ;; esac\n'
WITHOUT_VENV = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; *) exec "{python}" "$@" ;; esac\n'
# What the scripts use of a system; apt-get is left out, so that they cannot install anything.
TOOLS = ("bash", "cat", "dirname", "env", "id", "sed", "sha256sum")
# Nothing listens on tcpmux, while a Cloudyard may be running on the usual port.
ON_A_FREE_PORT = ("--port", "1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the scripts and of what they read, without an environment."""
    shutil.copytree(ROOT / "script", tmp_path / "script")
    (tmp_path / "clients/python").mkdir(parents=True)
    for name in ("pyproject.toml", "requirements.lock", "clients/python/pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def up(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return script(checkout, "up", *words, **environment)


def script(checkout: Path, name: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "script" / name), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=checkout, env={**os.environ, **environment}
    )


def with_python(checkout: Path, script: str) -> str:
    """A PATH on which every Python is the given script, and hardly anything else is there."""
    programs = checkout / "programs"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name) or name)
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return str(programs)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_valid_bash(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None and os.environ.get("CI") != "true":
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    command = ["shellcheck", "--external-sources", "--exclude=SC2317", *SCRIPTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_up_names_an_option_that_it_does_not_know(checkout: Path) -> None:
    done = up(checkout, "--fast")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{checkout}/script/up: --fast is no option.")


@pytest.mark.parametrize(
    "words", [("--port",), ("--port", "many"), ("--port=0",), ("--port", "08000"), ("--port", "70000")]
)
def test_up_refuses_what_is_no_port(checkout: Path, words: tuple[str, ...]) -> None:
    done = up(checkout, *words)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_up_says_when_its_port_is_in_use(checkout: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = up(checkout, "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("words", [("up", *ON_A_FREE_PORT), ("bench", "list")])
def test_a_python_that_is_too_old_is_told(checkout: Path, words: tuple[str, ...]) -> None:
    done = script(checkout, *words, PATH=with_python(checkout, OLD_PYTHON))
    assert done.returncode == 1
    assert "Python 3.10.4 is too old: Cloudyard needs 3.11 or newer" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("up", *ON_A_FREE_PORT), ("bench", "list")])
def test_a_missing_venv_module_is_told(checkout: Path, words: tuple[str, ...]) -> None:
    python = WITHOUT_VENV.format(python=Path(sys.executable).resolve())
    done = script(checkout, *words, PATH=with_python(checkout, python))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert re.search(r"System packages are missing.*apt-get install -y python3\.\d+-venv", done.stderr)
    assert not (checkout / ".venv").exists()


def test_the_lock_pins_every_dependency_to_a_version_that_is_allowed() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run script/lock"
        assert Version(version) in requirement.specifier, f"{requirement} does not allow {version}: run script/lock"


def test_the_lock_names_no_index() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()

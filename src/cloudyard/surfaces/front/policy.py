"""What is particular to the front door: it is open to everyone, and its page runs no script."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from cloudyard.web.policy import SurfacePolicy

READY_PATH = "/ready"
STYLE = files(__package__).joinpath("style.css").read_text(encoding="utf-8")

_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()

_CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; form-action "
)
FORM_POLICY = _CONTENT_POLICY + "'self'"


def _asks_nobody(_method: str, path: str) -> bool:
    """Everything but the readiness, which tells an administrator more than others."""
    return path != READY_PATH


POLICY = SurfacePolicy(
    name="front",
    title="Cloudyard",
    prefix="/",
    ungated=_asks_nobody,
    content_policy=_CONTENT_POLICY + "'none'",
)

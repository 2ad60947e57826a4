"""Tokens that must be refused, each with a single thing wrong with it."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt

from cloudyard.domains.identity import SigningKeys, Tokens
from cloudyard.domains.identity.tokens import TokenUse
from cloudyard.foundation.clock import Clock, SystemClock
from cloudyard.foundation.secret_box import open_secret_box
from cloudyard.testing.clock import ManualClock
from cloudyard.wiring import Services

KINDS = ("garbage", "empty parts", "unsigned", "forged", "tampered", "expired", "wrong audience", "refresh token")


async def bad_tokens(services: Services, access_token: str, refresh_token: str) -> dict[str, str]:
    """One of each of the `KINDS`, all of the session that the good tokens belong to."""
    claims = jwt.decode(access_token, options={"verify_signature": False})
    header, payload, signature = access_token.split(".")
    past = ManualClock(datetime.now(UTC) - timedelta(days=1))
    elsewhere = services.settings.security.audience + ".elsewhere"
    return {
        "garbage": "garbage",
        "empty parts": "..",
        "unsigned": f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': _kid(access_token)})}.{payload}.",
        "forged": jwt.encode(claims, "k" * 64, algorithm="HS256", headers={"kid": _kid(access_token)}),
        "tampered": f"{header}.{_part({**claims, 'sub': services.ids.new()})}.{signature}",
        "expired": await _signed(services, past, claims),
        "wrong audience": await _signed(services, SystemClock(), claims, audience=elsewhere),
        "refresh token": refresh_token,
    }


async def _signed(services: Services, clock: Clock, claims: dict[str, str], *, audience: str | None = None) -> str:
    """An access token with the installation's own key, at another time or for another audience."""
    settings = services.settings.security
    if audience is not None:
        settings = settings.model_copy(update={"audience": audience})
    box = open_secret_box(None, services.settings.data_dir / "encryption.key")
    keys = SigningKeys(services.database, clock, services.ids, box, services.audit, settings)
    tokens = Tokens(keys, clock, services.ids, settings)
    return tokens.sign(await tokens.key(), TokenUse.ACCESS, user_id=claims["sub"], session_id=claims["sid"])


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def _part(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

"""A push service on loopback, with the browsers behind it: it believes nothing that it has not verified and decrypted.

The decryption is written from RFC 8188 and RFC 8291, not with the library that encrypts.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
LONGEST_BODY = 4096
LONGEST_TOKEN_SECONDS = 86_400
SKEW_SECONDS = 60


def to_base64(raw: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """The bytes behind it."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser:
    """What subscribes and decrypts."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.auth = secrets.token_bytes(16)
        self._private = ec.generate_private_key(CURVE)

    @property
    def keys(self) -> dict[str, str]:
        """What it gives with its subscription."""
        return {"p256dh": to_base64(point_of(self._private.public_key())), "auth": to_base64(self.auth)}

    def decrypted(self, body: bytes) -> bytes:
        """The plain text of one record (RFC 8291, section 3.4; RFC 8188, section 2). Raises what AES-GCM raises."""
        salt, record_size, key_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + key_length], body[21 + key_length :]
        assert len(sealed) <= record_size, "more than one record"
        shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        info = b"WebPush: info\x00" + point_of(self._private.public_key()) + sender
        secret = _derived(shared, self.auth, info, 32)
        key = _derived(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _derived(secret, salt, b"Content-Encoding: nonce\x00", 12)
        plain = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
        assert plain.endswith(b"\x02"), "the delimiter of the last record is missing"
        return plain[:-1]


@dataclass(frozen=True, slots=True)
class Pushed:
    """A message as it came in, after verification."""

    browser_id: str
    headers: dict[str, str]
    claims: dict[str, Any]
    public_key: str
    plain: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return msgspec.json.decode(self.plain)


@dataclass(slots=True)
class PushService:
    """Takes messages for its browsers, or answers as told; `hang` makes it wait for ever.

    What does not verify is answered as real services do, and noted in `refused`.
    """

    origin: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    taken: list[Pushed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    tries: int = 0
    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False

    def subscribe(self) -> Browser:
        """A new browser."""
        browser = Browser()
        self.browsers[browser.id] = browser
        return browser

    def endpoint(self, browser: Browser) -> str:
        """Where messages for a browser go."""
        return f"{self.origin}/push/{browser.id}"

    def unsubscribe(self, browser: Browser) -> None:
        """From now on it is gone."""
        del self.browsers[browser.id]

    async def take(self, request: web.Request) -> web.Response:
        """Verify, decrypt and keep a message."""
        self.tries += 1
        body = await request.read()
        if self.hang:
            await asyncio.Event().wait()
        browser = self.browsers.get(request.match_info["browser"])
        if browser is None:
            return web.Response(status=410, text="push subscription has unsubscribed or expired")
        if self.status >= 300:
            return web.Response(status=self.status, headers=self.headers, text="not now")
        try:
            self.taken.append(self._verified(request, browser, body))
        except (AssertionError, KeyError, ValueError, jwt.InvalidTokenError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return web.Response(status=403, text="not verified")
        return web.Response(status=self.status, headers=self.headers)

    def _verified(self, request: web.Request, browser: Browser, body: bytes) -> Pushed:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["content-encoding"] == "aes128gcm", "RFC 8291, section 4"
        assert len(body) <= LONGEST_BODY, "RFC 8030, section 7.2"
        assert int(headers["ttl"]) >= 0, "RFC 8030, section 5.2"
        scheme, _, parameters = headers["authorization"].partition(" ")
        assert scheme == "vapid", "RFC 8292, section 3"
        given = dict(part.strip().split("=", 1) for part in parameters.split(","))
        public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, from_base64(given["k"]))
        claims = jwt.decode(given["t"], public, algorithms=["ES256"], audience=self.origin, leeway=SKEW_SECONDS)
        assert claims["exp"] <= time.time() + LONGEST_TOKEN_SECONDS, "RFC 8292, section 2"
        return Pushed(browser.id, headers, claims, given["k"], browser.decrypted(body))


@asynccontextmanager
async def running_push_service() -> AsyncIterator[PushService]:
    """A push service on a free port of 127.0.0.1."""
    service = PushService()
    app = web.Application()
    app.router.add_post("/push/{browser}", service.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)

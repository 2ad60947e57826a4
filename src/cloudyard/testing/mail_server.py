"""A real SMTP server on loopback (aiosmtpd), in a thread of its own."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from cloudyard.testing.free_ports import free_port

TURNS_TO_CLOSE = 5
"""Turns of the loop after which an aborted connection, with TLS or without, is closed."""
STOPPED_WITHIN_SECONDS = 10


class MailServer(Controller):
    """Hangs up before it stops: aiosmtpd by itself closes its loop on connections that are still being closed."""

    def __init__(self, handler: object, *, port: int | None = None, **options: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=port or free_port(), **options)
        self._conversations: list[SMTP] = []

    def factory(self) -> SMTP:
        """The server's side of one conversation."""
        conversation: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._conversations.append(conversation)
        return conversation

    def stop(self, no_assert: bool = False) -> None:
        """Hang up, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(STOPPED_WITHIN_SECONDS)
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        for conversation in self._conversations:
            if isinstance(conversation.transport, asyncio.WriteTransport):
                conversation.transport.abort()
        for _ in range(TURNS_TO_CLOSE):
            await asyncio.sleep(0)


@contextmanager
def mail_server(handler: object, *, port: int | None = None, **options: Any) -> Iterator[MailServer]:
    """Run a mail server with an aiosmtpd handler, at a free port or at `port`."""
    server = MailServer(handler, port=port, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()

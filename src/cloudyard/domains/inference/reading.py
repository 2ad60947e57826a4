"""Whose prompt a local model reads: one long one at a time, or as many short ones as are read within a few steps.

llama.cpp reads prompts one after the other, and notices that a caller has left when it has something to tell about that
caller's own prompt. Eight long prompts at once, all abandoned, kept their slots for five to nine seconds. Whoever waits
here instead is gone at once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from cloudyard.domains.inference.errors import ProviderUnavailable
from cloudyard.domains.inference.metering import about_tokens_of
from cloudyard.domains.inference.ports import LocalModel

STEPS_TOGETHER = 4
"""Prompts that are read in so many steps may be read together: none waits long for the others."""
STEPS_AHEAD = 2
"""With so many steps left the next prompt is let in, so that the model never pauses and fills every step."""


class _Progress(Struct):
    total: int
    processed: int


class _Sign(Struct):
    prompt_progress: _Progress


class Turn:
    """A turn at reading. `prompt_tokens` is the length of the prompt, once the model has told it."""

    def __init__(self, reader: "_Reader", tokens: int, step: int) -> None:
        self._reader = reader
        self._tokens = tokens
        self._step = step
        self._ended = False
        self.prompt_tokens: int | None = None

    def progress(self, data: bytes) -> None:
        """Take in a sign of life, and let the next one in shortly before this prompt has been read."""
        told = msgspec.json.decode(data, type=_Sign).prompt_progress
        self.prompt_tokens = told.total
        if told.total - told.processed <= STEPS_AHEAD * self._step:
            self.end()

    def end(self) -> None:
        """Let the next one have its turn; a second call changes nothing."""
        if not self._ended:
            self._ended = True
            self._reader.end(self._tokens)


class ReadingTurns:
    """Turns at reading, in the order of their asking, for every local model."""

    def __init__(self) -> None:
        self._readers: dict[str, _Reader] = {}

    @asynccontextmanager
    async def turn(self, model: LocalModel, prompt: str, patience: float) -> AsyncIterator[Turn]:
        """Wait for a turn, `patience` seconds at most; it ends with the context, if not before.

        Raises `ProviderUnavailable`.
        """
        reader = self._readers.setdefault(model.name, _Reader())
        room = STEPS_TOGETHER * model.batch_tokens
        tokens = min(about_tokens_of(prompt), room)
        try:
            async with asyncio.timeout(patience):
                await reader.begin(tokens, room)
        except TimeoutError as error:
            raise ProviderUnavailable(
                f"The model had no time for the prompt within {patience:g} s. Try again later.", retry_after=1
            ) from error
        turn = Turn(reader, tokens, model.batch_tokens)
        try:
            yield turn
        finally:
            turn.end()


class _Reader:
    """The prompts that one model reads, and those that wait."""

    def __init__(self) -> None:
        self._reading = 0
        self._waiting: deque[tuple[asyncio.Future[None], int, int]] = deque()

    async def begin(self, tokens: int, room: int) -> None:
        if not self._waiting and self._reading + tokens <= room:
            self._reading += tokens
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((woken, tokens, room))
        try:
            await woken
        except asyncio.CancelledError:
            if woken.cancelled():
                self._wake()  # those behind may fit where this one did not
            else:
                self.end(tokens)  # it had been given a turn that it will not use
            raise

    def end(self, tokens: int) -> None:
        self._reading -= tokens
        self._wake()

    def _wake(self) -> None:
        """Give turns to the first in the queue, as long as they fit."""
        while self._waiting:
            woken, tokens, room = self._waiting[0]
            if not woken.done():
                if self._reading + tokens > room:
                    return
                self._reading += tokens
                woken.set_result(None)
            self._waiting.popleft()

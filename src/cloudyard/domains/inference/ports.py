"""What inference needs from outside: something that runs local models, and something that talks to a server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A GGUF file to run here. `context_length` is in tokens a slot; `slots` sequences run in parallel.

    `batch_tokens` are read in one step, after which the model looks whether its callers are still there. Answering may
    take `working_memory` bytes beyond what the loaded model does.
    """

    name: str
    path: Path
    context_length: int
    slots: int
    batch_tokens: int
    embedding: bool = False
    threads: int | None = None
    idle_unload_seconds: float | None = None
    working_memory: int = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server. `base_url` ends in /v1.

    `keeps_connections`: whether a connection may be used again; a server that closes them unannounced fails the next
    call on one.
    """

    base_url: str
    api_key: str | None = None
    keeps_connections: bool = True


class WorkerState(StrEnum):
    """The life of a model worker."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    RETRYING = "retrying"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a model worker is."""

    name: str
    state: WorkerState
    pid: int | None
    restarts: int
    last_error: str | None


class LocalModels(Protocol):
    """Runs local models, one worker process each."""

    def lease(self, model: LocalModel) -> AbstractAsyncContextManager[Endpoint]:
        """Keep a worker up while it is used, starting it on demand. Raises `LocalModelUnavailable`."""
        ...

    async def start(self, model: LocalModel) -> None:
        """Start a worker ahead of its first use."""
        ...

    async def failed(self, model: LocalModel) -> None:
        """Its endpoint did not answer: return once it is known whether its worker has died, within a moment."""
        ...

    def statuses(self) -> Sequence[WorkerStatus]:
        """How every worker is."""
        ...

    async def close(self) -> None:
        """Stop every worker."""
        ...


class Provider(Protocol):
    """Talks to an OpenAI-compatible server."""

    async def call(self, endpoint: Endpoint, path: str, body: bytes, timeout: float) -> bytes:
        """POST `body` to a path below the endpoint and return the answer's body.

        `timeout` is the longest silence in seconds. Raises `ProviderUnavailable`, which may be tried elsewhere, or
        `ProviderRefused` or `ContextTooLong`, which may not.
        """
        ...

    def stream(
        self, endpoint: Endpoint, path: str, body: bytes, timeout: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The same for a streamed answer: the data of its server-sent events, without the closing [DONE].

        Leaving the context closes the connection, which stops the generation. The iterator raises
        `ProviderUnavailable` when the stream breaks off, once every whole event that had come was given out.
        """
        ...

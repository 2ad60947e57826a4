"""The two lines that a server and its model worker exchange: the order on stdin, the report on stdout, both JSON."""

import msgspec


class WorkerOrder(msgspec.Struct, frozen=True):
    """What a worker is to run. It travels over stdin: an argument could be read by every user of the machine.
    The memory is in bytes.
    """

    name: str
    path: str
    context_length: int
    slots: int
    embedding: bool
    batch_tokens: int
    threads: int
    api_key: str
    working_memory: int


class WorkerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of it: the base URL of the OpenAI-compatible server, or why there is none."""

    base_url: str | None = None
    error: str | None = None


def encode_line(message: WorkerOrder | WorkerReport) -> bytes:
    """The message as one line."""
    return msgspec.json.encode(message) + b"\n"

"""Structured logs: one JSON object a line for machines, or colours for people.

Lines of libraries that use the standard `logging` come out in the same shape.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import structlog
from structlog.typing import Processor

from cloudyard.foundation.settings.telemetry import TelemetrySettings
from cloudyard.foundation.telemetry.context import request_context

EventDict = MutableMapping[str, Any]

# Their info lines repeat what the access line and our own start-up lines say.
QUIET_LIBRARIES = ("uvicorn", "alembic", "aiosqlite", "asyncio", "httpcore", "httpx2", "aiohttp")

# Without the values of variables: there are secrets among them, and to show them takes seconds.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure_logging(settings: TelemetrySettings, stream: BinaryIO | None = None) -> None:
    """Set up logging for the process, to standard error unless a stream is given. Call it once, at start."""
    lines = _Lines(stream or sys.stderr.buffer)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render: Processor = (
        _JsonRenderer() if settings.log_format == "json" else _ConsoleRenderer(colors=lines.stream.isatty())
    )
    structlog.configure(
        processors=[_describe, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    _take_over_standard_logging(level, lines, [_describe, _drop_color_message, render])


class _Lines:
    """Where lines go. What cannot be written (a full disk, a pipe that nobody reads) is lost: it fails no request."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def msg(self, line: bytes) -> None:
        try:
            self.stream.write(line + b"\n")
            self.stream.flush()
        except OSError:
            return

    debug = info = warning = error = critical = msg


class _JsonRenderer:
    """Renders with msgspec; a value that JSON does not know is shown as its text."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=str, order=None).encode

    def __call__(self, logger: object, method: str, event_dict: EventDict) -> bytes:
        if event_dict.get("exc_info"):
            _TRACEBACKS(logger, method, event_dict)
        return self._encode(event_dict)


class _ConsoleRenderer:
    """structlog's renderer for people, as bytes."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)

    def __call__(self, logger: Any, method: str, event_dict: EventDict) -> bytes:
        return self._render(logger, method, event_dict).encode()


class _StandardHandler(logging.Handler):
    """Gives records of the standard library's loggers the shape of ours."""

    def __init__(self, lines: _Lines, processors: list[Processor]) -> None:
        super().__init__()
        self._logger = lines
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = {"event": record.getMessage(), "logger": record.name}
            if record.exc_info:
                event["exc_info"] = record.exc_info
            for process in self._processors:
                event = process(self._logger, record.levelname.lower(), event)
            self._logger.msg(event)
        except Exception:  # noqa: BLE001 - what the standard library's handlers do: a bad log call fails no request
            self.handleError(record)


def _take_over_standard_logging(level: int, lines: _Lines, processors: list[Processor]) -> None:
    root = logging.getLogger()
    root.handlers = [_StandardHandler(lines, processors)]
    root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def _describe(_logger: object, method: str, event_dict: EventDict) -> EventDict:
    """Add the request, the level and the time. One function and not structlog's three: every request writes a line, and
    what that takes is a twentieth of a charged call."""
    context = request_context.get()
    if context is not None:
        event_dict["request_id"] = context.request_id
        event_dict["surface"] = context.surface
        if context.user_id is not None:
            event_dict["user_id"] = context.user_id
        if context.trace_id is not None:
            event_dict["trace_id"] = context.trace_id
    event_dict["level"] = method
    event_dict["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event_dict


def _drop_color_message(_logger: object, _method: str, event_dict: EventDict) -> EventDict:
    event_dict.pop("color_message", None)
    return event_dict

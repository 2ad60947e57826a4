import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest
import structlog

from cloudyard.foundation.settings.telemetry import TelemetrySettings
from cloudyard.foundation.telemetry import RequestContext, configure_logging, request_context


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_and_level() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    structlog.get_logger("one").info("hello", count=3)
    (line,) = lines(stream)
    assert line["event"] == "hello"
    assert line["level"] == "info"
    assert line["count"] == 3
    assert str(line["timestamp"]).endswith("Z")


def test_lines_of_a_request_name_it_and_its_user() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    token = request_context.set(RequestContext("req-1", "pynode", user_id="u-1", trace_id="abc"))
    structlog.get_logger().info("inside")
    request_context.reset(token)
    structlog.get_logger().info("outside")
    inside, outside = lines(stream)
    assert (inside["request_id"], inside["surface"], inside["user_id"], inside["trace_id"]) == (
        "req-1",
        "pynode",
        "u-1",
        "abc",
    )
    assert "request_id" not in outside


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_that_cannot_be_written_fails_nobody(log_format: str) -> None:
    with open("/dev/full", "wb") as stream:  # noqa: PTH123 - a device
        configure_logging(TelemetrySettings(log_format=log_format), stream)
        for _ in range(1000):
            structlog.get_logger().info("lost")
            logging.getLogger("library").warning("lost, too")
        structlog.reset_defaults()
        with pytest.raises(OSError, match="No space left"):
            stream.close()


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(log_level="warning"), stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").error("loud too")
    assert [line["event"] for line in lines(stream)] == ["loud", "loud too"]


def test_libraries_that_use_standard_logging_write_the_same_shape() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    try:
        raise RuntimeError("broken pipe")
    except RuntimeError:
        logging.getLogger("sqlalchemy.pool").exception("lost %s", "connection")
    (line,) = lines(stream)
    assert line["event"] == "lost connection"
    assert line["logger"] == "sqlalchemy.pool"
    assert "broken pipe" in json.dumps(line["exception"])


def test_warnings_become_lines() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old thing", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "old thing" in str(lines(stream)[0]["event"])


def test_an_exception_comes_with_its_stack() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    error = ValueError("bad value")
    structlog.get_logger().error("failed", exc_info=error)
    (line,) = lines(stream)
    assert "bad value" in json.dumps(line["exception"])


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_stack_does_not_tell_the_values_of_variables(log_format: Literal["json", "console"]) -> None:
    def fail() -> None:
        secret = "sk_" + "live"
        raise ValueError(len(secret))

    stream = io.BytesIO()
    configure_logging(TelemetrySettings(log_format=log_format), stream)
    try:
        fail()
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    text = stream.getvalue().decode()
    assert "ValueError" in text
    assert "in fail" in text or '"fail"' in text
    assert "sk_live" not in text


def test_values_that_json_does_not_know_are_shown_as_text() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(), stream)
    structlog.get_logger().info("odd", value=ValueError("x"))
    assert lines(stream)[0]["value"] == "x"


def test_the_console_format_is_for_people() -> None:
    stream = io.BytesIO()
    configure_logging(TelemetrySettings(log_format="console"), stream)
    structlog.get_logger().info("hello", count=3)
    text = stream.getvalue().decode()
    assert "hello" in text
    assert "count" in text
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text)

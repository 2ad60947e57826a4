"""Logs, traces and metrics."""

from typing import Literal

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class TelemetrySettings(Area):
    """Logs, traces and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level written.")
    log_format: Literal["json", "console"] = Field("json", description="`console` is for people.")
    access_log: bool = Field(True, description="One line a request.")
    otlp_endpoint: str | None = Field(None, description="OTLP/HTTP collector; traces are off without one.")
    capture_content: bool = Field(False, description="Put prompts and answers into traces (they may be private).")

from datetime import timedelta

import pytest

from cloudyard.foundation.telemetry import Metrics, Traffic
from cloudyard.foundation.telemetry.traffic import Day
from cloudyard.testing.clock import ManualClock


async def test_requests_of_the_day_are_counted_over_every_surface() -> None:
    metrics, clock = Metrics(), ManualClock()
    traffic = Traffic(metrics, clock)
    assert traffic.today() == Day(0, 0.0, 0.0)
    metrics.http_request("aihub", "/api/users/me", "GET", 200, 0.5)
    metrics.http_request("openai", "/chat/completions", "POST", 404, 1.0)
    metrics.http_request("openai", "/chat/completions", "POST", 200, 1.0)
    metrics.http_request("openai", "/models", "GET", 503, 1.5)
    day = traffic.today()
    assert (day.requests, day.failed_share) == (4, 0.25)
    assert day.mean_seconds == pytest.approx(1.0)


async def test_how_long_a_websocket_stays_open_is_no_measure_of_speed() -> None:
    metrics = Metrics()
    traffic = Traffic(metrics, ManualClock())
    metrics.http_request("aihub", "/ws", "WEBSOCKET", 101, 3600.0)
    metrics.http_request("aihub", "/api/users/me", "GET", 200, 0.5)
    assert traffic.today() == Day(1, 0.5, 0.0)


async def test_a_new_day_begins_at_nothing() -> None:
    metrics, clock = Metrics(), ManualClock()
    traffic = Traffic(metrics, clock)
    metrics.http_request("aihub", "/api/users/me", "GET", 500, 9.0)
    clock.advance(timedelta(days=1).total_seconds())
    await traffic.mark()
    assert traffic.today() == Day(0, 0.0, 0.0)
    metrics.http_request("aihub", "/api/users/me", "GET", 200, 0.25)
    clock.advance(60)
    await traffic.mark()
    assert traffic.today() == Day(1, 0.25, 0.0)

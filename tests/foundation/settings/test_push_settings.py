"""Whom push services are told to write to, and where pushes may go."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.push import PushSettings


@pytest.mark.parametrize(
    ("given", "contact"),
    [
        ({}, None),
        ({"admin_email": "root@example.com"}, "mailto:root@example.com"),
        ({"server": {"public_url": "https://cloud.example.com"}}, "https://cloud.example.com"),
        ({"server": {"public_url": "http://127.0.0.1:8000"}}, None),
        (
            {"admin_email": "root@example.com", "push": {"contact": "https://example.com/ops"}},
            "https://example.com/ops",
        ),
    ],
)
def test_the_contact_has_a_default(tmp_path: Path, given: dict[str, Any], contact: str | None) -> None:
    assert Settings(data_dir=tmp_path, **given).push_contact == contact


@pytest.mark.parametrize("wrong", ["root@example.com", "mailto:", "http://example.com", "mailto:a b@c"])
def test_a_contact_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        PushSettings(contact=wrong)


def test_loopback_is_allowed_by_explicit_setting_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, profile="development")
    assert settings.webhook_loopback and not settings.push.allow_loopback


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        PushSettings(allowed_networks=["10.1.0.0/99"])

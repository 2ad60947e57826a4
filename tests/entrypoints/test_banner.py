"""What a starting server says of its mail and its payments."""

from pathlib import Path

import pytest

from cloudyard.entrypoints.banner import banner
from cloudyard.foundation.settings import Profile, Settings

SMTP = {"backend": "smtp", "smtp_host": "mx.example", "smtp_password": "secret-1"}


@pytest.mark.parametrize(
    ("profile", "mail", "said"),
    [
        (Profile.PRODUCTION, {}, "none: passwords cannot be reset"),
        (Profile.DEVELOPMENT, {}, "not sent, but written to {data_dir}/mail"),
        (Profile.PRODUCTION, {"backend": "file"}, "not sent, but written to {data_dir}/mail"),
        (Profile.PRODUCTION, SMTP, "sent through mx.example:587"),
        (Profile.DEVELOPMENT, SMTP, "sent through mx.example:587"),
    ],
)
def test_where_mail_goes_is_said(tmp_path: Path, profile: Profile, mail: dict[str, str], said: str) -> None:
    text = banner(Settings(profile=profile, data_dir=tmp_path, mail=mail), "http://127.0.0.1:8000")
    (line,) = (line for line in text.splitlines() if line.startswith("  mail"))
    assert said.format(data_dir=tmp_path) in line
    assert "secret-1" not in text


@pytest.mark.parametrize(
    ("payments", "stand_in", "said"),
    [
        ({}, None, ["none: nothing can be bought until payments.stripe_key is set"]),
        ({"stripe_key": "sk_test_secret"}, None, ["through Stripe, in its test mode: no money moves"]),
        ({"stripe_key": "rk_live_secret"}, None, ["through Stripe, for real money"]),
        (
            {"stripe_key": "sk_test_local"},
            "http://127.0.0.1:9",
            ["a stand-in of Stripe, http://127.0.0.1:9: no money moves", "CLOUDYARD_PAYMENTS__STRIPE_KEY=sk_test_..."],
        ),
    ],
)
def test_what_takes_the_payments_is_said(
    tmp_path: Path, payments: dict[str, str], stand_in: str | None, said: list[str]
) -> None:
    text = banner(Settings(data_dir=tmp_path, payments=payments), "http://127.0.0.1:8000", stand_in)
    lines = [line for line in text.splitlines() if line.startswith("  payments")]
    for line, words in zip(lines, said, strict=True):
        assert words in line
    assert "secret" not in text

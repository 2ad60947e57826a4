"""What a starting server says of its mail."""

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

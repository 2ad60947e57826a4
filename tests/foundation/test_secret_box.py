"""Secrets are encrypted, keys rotate, and a generated key file is private and agreed upon."""

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.foundation.places import PlaceUnusable
from cloudyard.foundation.secret_box import (
    SecretBox,
    SecretKeyInvalid,
    SecretUnreadable,
    load_or_create_key,
    open_secret_box,
)

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
ENCODABLE = st.text(st.characters(codec="utf-8"))


@given(ENCODABLE)
def test_a_secret_comes_back_and_its_sealed_form_differs_each_time(secret: str) -> None:
    box = SecretBox([NEW])
    first, second = box.encrypt(secret), box.encrypt(secret)
    assert first != second
    assert box.decrypt(first) == box.decrypt(second) == secret


def test_sealed_text_does_not_contain_the_secret() -> None:
    assert "hunter2hunter2" not in SecretBox([NEW]).encrypt("hunter2hunter2")


def test_an_old_key_still_decrypts_behind_a_new_one() -> None:
    sealed = SecretBox([OLD]).encrypt("secret")
    rotated = SecretBox([NEW, OLD])
    assert rotated.decrypt(sealed) == "secret"
    assert SecretBox([NEW]).decrypt(rotated.rotate(sealed)) == "secret"


def test_without_the_old_key_the_secret_is_unreadable() -> None:
    sealed = SecretBox([OLD]).encrypt("secret")
    for use in (SecretBox([NEW]).decrypt, SecretBox([NEW]).rotate):
        with pytest.raises(SecretUnreadable, match=r"security\.encryption_key"):
            use(sealed)


def test_altered_text_is_refused() -> None:
    sealed = SecretBox([NEW]).encrypt("secret")
    middle = len(sealed) // 2
    altered = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).decrypt(altered)
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).decrypt("nonsense")


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "not a key"]])
def test_bad_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(SecretKeyInvalid):
        SecretBox(keys)


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    key = load_or_create_key(path)
    assert load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]
    assert SecretBox([key]).decrypt(open_secret_box(None, path).encrypt("secret")) == "secret"


def test_a_key_file_that_cannot_be_made_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "secret.key", tmp_path / "folder"):
        with pytest.raises(PlaceUnusable, match=re.escape(str(path))):
            load_or_create_key(path)


def test_a_key_file_that_is_no_text_is_refused_as_a_key(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretKeyInvalid):
        open_secret_box(None, tmp_path / "secret.key")


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_key(tmp_path / "secret.key"), range(32)))
    assert len(keys) == 1


def test_the_setting_wins_over_the_file_and_may_list_keys(tmp_path: Path) -> None:
    sealed = SecretBox([OLD]).encrypt("secret")
    box = open_secret_box(f" {NEW} , {OLD} ", tmp_path / "secret.key")
    assert box.decrypt(sealed) == "secret"
    assert not (tmp_path / "secret.key").exists()


def test_a_damaged_key_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("damaged")
    with pytest.raises(SecretKeyInvalid, match="Generate one"):
        open_secret_box(None, tmp_path / "secret.key")

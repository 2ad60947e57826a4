"""Which passwords are accepted, and how they are hashed and checked."""

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from cloudyard.domains.identity import Passwords, WeakPassword, require_mixed_characters
from cloudyard.testing.identity import cheap_hasher


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(min_length=8, hasher=cheap_hasher())


@pytest.mark.parametrize("password", ["password123", "SecurePass123!", "x" * 256, "пароль-из-слов", "a b c d e f"])
async def test_a_good_password_verifies_and_another_does_not(passwords: Passwords, password: str) -> None:
    passwords.check(password, email="ada@example.com")
    stored = await passwords.hash(password)
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(password, stored) == (True, None)
    assert await passwords.verify(password + "x", stored) == (False, None)


@pytest.mark.parametrize(
    "password", ["", "short12", "x" * 257, "with\x00nul-byte", "half \ud800 character", "Ada@Example.com"]
)
def test_weak_passwords_are_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        passwords.check(password, email="ada@example.com", field="new_password")
    assert caught.value.field == "new_password"


async def test_equal_passwords_have_unequal_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_composed_and_decomposed_characters_are_the_same_password(passwords: Passwords) -> None:
    stored = await passwords.hash("caf\u00e9 au lait")
    assert (await passwords.verify("cafe\u0301 au lait", stored))[0]


async def test_an_unknown_user_is_refused_whatever_the_password(passwords: Passwords) -> None:
    for password in ("correct horse", "nobody has this password", "x" * 100_000, "\ud800", ""):
        assert await passwords.verify(password, None) == (False, None)


@pytest.mark.parametrize("password", ["x" * 100_000, "\ud800" * 10, ""])
async def test_impossible_passwords_are_wrong_and_not_an_error(passwords: Passwords, password: str) -> None:
    assert await passwords.verify(password, await passwords.hash("correct horse")) == (False, None)


async def test_a_hash_with_older_parameters_is_renewed(passwords: Passwords) -> None:
    older = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),)).hash("correct horse")
    right, renewed = await passwords.verify("correct horse", older)
    assert right
    assert renewed is not None
    assert await passwords.verify("correct horse", renewed) == (True, None)


async def test_the_standard_hasher_is_argon2id_with_64_mib() -> None:
    assert (await Passwords(min_length=8).hash("correct horse")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize(
    ("password", "missing"),
    [
        ("alllower1!", "upper"),
        ("ALLUPPER1!", "lower"),
        ("NoDigits!!", "digit"),
        ("NoSymbol123", "symbol"),
    ],
)
def test_mixed_characters(password: str, missing: str) -> None:
    with pytest.raises(WeakPassword, match=missing):
        require_mixed_characters(password)
    require_mixed_characters("SecurePass123!")

"""What may be asked of a new API key, and that no key can make one with more rights than its own."""

from collections.abc import Iterable
from datetime import datetime

from cloudyard.domains.identity.errors import InvalidApiKey, InvalidProfile, ScopeMissing
from cloudyard.domains.identity.names import LONGEST_NAME, tidy_text
from cloudyard.domains.identity.records import ApiKey, Principal, Scope

LONGEST_MODEL_NAME = 200
MOST_MODELS = 100


def check_key_rights(
    creator: Principal,
    *,
    scopes: Iterable[str] | None,
    allowed_models: Iterable[str] | None,
    expires_at: datetime | None,
) -> None:
    """Raise `ScopeMissing` if the creator is an API key and the new key could do more than it can.

    A key with a spend cap or a rate limit can make none at all: each new key would come with an allowance of its own.
    A session may make any key that its user may have.
    """
    creator.require(Scope.ACCOUNT)
    parent = creator.api_key
    if parent is None:
        return
    if _is_limited(parent):
        raise _broader("it has a spend cap or a rate limit, which a new key would get round")
    if parent.scopes is not None and (scopes is None or not parent.scopes.issuperset(scopes)):
        raise _broader("it lacks some of the scopes")
    if parent.allowed_models is not None and (
        allowed_models is None or not parent.allowed_models.issuperset(allowed_models)
    ):
        raise _broader("it may not use some of the models")
    if parent.expires_at is not None and (expires_at is None or expires_at > parent.expires_at):
        raise _broader("it expires earlier")


def checked_name(name: str) -> str:
    """The key's name in one line. Raises `InvalidApiKey`."""
    try:
        tidy = tidy_text(name, field="name", longest=LONGEST_NAME)
    except InvalidProfile as error:
        raise InvalidApiKey(error.message, field="name") from error
    if not tidy:
        raise InvalidApiKey("An API key needs a name, so that you know it again.", field="name")
    return tidy


def checked_scopes(scopes: Iterable[str] | None) -> frozenset[Scope] | None:
    """The scopes, None for all. Raises `InvalidApiKey`."""
    if scopes is None:
        return None
    wanted = frozenset(scopes)
    unknown = sorted(wanted.difference(Scope))
    if unknown:
        raise InvalidApiKey(
            f"There is no scope {unknown[0][:LONGEST_NAME]!r}. The scopes are {', '.join(Scope)}.", field="scopes"
        )
    return frozenset(Scope(scope) for scope in wanted)


def checked_models(names: Iterable[str] | None) -> frozenset[str] | None:
    """The names of the models, None for all. Raises `InvalidApiKey`."""
    if names is None:
        return None
    models = frozenset(names)
    usable = all(0 < len(name) <= LONGEST_MODEL_NAME and name.isprintable() for name in models)
    if not usable or len(models) > MOST_MODELS:
        raise InvalidApiKey(
            f"`allowed_models` takes up to {MOST_MODELS} model names of up to {LONGEST_MODEL_NAME} characters.",
            field="allowed_models",
        )
    return models


def checked_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """The end of the key. Raises `InvalidApiKey`."""
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise InvalidApiKey("`expires_at` needs a time zone, e.g. 2030-01-31T12:00:00Z.", field="expires_at")
    if expires_at <= now:
        raise InvalidApiKey("`expires_at` is in the past: the key would never work.", field="expires_at")
    return expires_at


def checked_number(value: int | None, *, least: int, most: int, field: str) -> int | None:
    """A limit, None for none. Raises `InvalidApiKey`."""
    if value is not None and not least <= value <= most:
        raise InvalidApiKey(f"`{field}` must be a whole number from {least} to {most}.", field=field)
    return value


def _is_limited(key: ApiKey) -> bool:
    limits = (key.spend_cap_nanos, key.requests_per_minute, key.tokens_per_minute)
    return any(limit is not None for limit in limits)


def _broader(reason: str) -> ScopeMissing:
    return ScopeMissing(
        f"This API key cannot make the wanted key: {reason}. Ask for less, or use a session of the user.",
        details={"scope": Scope.ACCOUNT.value},
    )

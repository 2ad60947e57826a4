"""Accounts and sessions (document, Authentication and User Endpoints)."""

from datetime import datetime

from pydantic import Field

from smartaihub.types.base import Record


class Account(Record):
    """A user as a login shows it. `role` is `user` or `admin`."""

    id: str
    email: str
    first_name: str
    last_name: str
    role: str
    email_verified: bool
    created_at: datetime


class User(Account):
    """The current user. What was never told is None."""

    phone: str | None = None
    timezone: str | None = None
    language: str | None = None
    updated_at: datetime


class Tokens(Record):
    """Tokens of a session; they are not shown when printed. `expires_in`: seconds that the access token lives."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    expires_in: int = 0


class Registered(Record):
    """An account that was opened."""

    user: Account


class Session(Record):
    """A session that was opened."""

    user: Account
    tokens: Tokens


class Refreshed(Record):
    """A session that goes on."""

    tokens: Tokens


class Provider(Record):
    """A sign-in provider: `name` is what `auth.sign_in_url` takes, `title` what people are shown."""

    name: str
    title: str
    path: str


class Application(Record):
    """An application that acts in the user's name. `client_id` is its own id or address."""

    id: str
    name: str
    client_id: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime

"""People who use an installation through its clients."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smartaihub import RetryPolicy, Tokens
from twins import Client

from cloudyard.testing.installation import Installation
from cloudyard.web.registration import register

PASSWORD = "securePassword123"
QUICKLY = RetryPolicy(first_delay=0.01, longest_delay=0.05)

Connect = Callable[..., Awaitable[Client]]

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, an API key and a session."""

    id: str
    email: str
    api_key: str
    tokens: Tokens


def new_person(server: Installation) -> Person:
    """Somebody who registered and opened a session, without the time that a login takes."""
    services = server.services

    async def open_account() -> Person:
        email = f"client{next(_numbers)}@example.com"
        user = await register(
            services.users, services.billing, email=email, password=PASSWORD, first_name="John", last_name="Doe"
        )
        pair = await services.sessions.start(user.id)
        _, secret = await services.api_keys.create(user.id, name="client")
        tokens = Tokens(access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in)
        return Person(user.id, email, secret, tokens)

    person: Person = server.run(open_account())
    return person

"""The current user (document, User Endpoints)."""

from smartaihub._requests import Repeat, Request, get, put, segment
from smartaihub._sync.connection import Connection
from smartaihub.types.accounts import Application, User
from smartaihub.types.base import Envelope, Message

APPLICATIONS = "/api/users/me/applications"
ApplicationList = list[Application]


class Users:
    """`client.users`."""

    def __init__(self, connection: Connection) -> None:
        self.applications = Applications(connection)
        self._connection = connection

    def me(self) -> User:
        """Who is calling."""
        return self._connection.data(get("/api/users/me", Envelope[User]))

    def update_me(
        self,
        *,
        first_name: str | None = None,
        last_name: str | None = None,
        phone: str | None = None,
        timezone: str | None = None,
        language: str | None = None,
    ) -> User:
        """Change what is given; an empty text clears it."""
        request = put(
            "/api/users/me",
            Envelope[User],
            first_name=first_name,
            last_name=last_name,
            phone=phone,
            timezone=timezone,
            language=language,
        )
        return self._connection.data(request)


class Applications:
    """`client.users.applications`: who was let in through OAuth, and acts in the user's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> ApplicationList:
        """The applications, newest first."""
        return self._connection.data(get(APPLICATIONS, Envelope[ApplicationList]))

    def end(self, application_id: str) -> None:
        """Let an application do nothing any more."""
        path = f"{APPLICATIONS}/{segment(application_id)}"
        self._connection.send(Request("DELETE", path, Envelope[Message], repeat=Repeat.UNSENT))

"""Records of the core as bodies of Dev-PyNode."""

from starlette.requests import HTTPConnection

from cloudyard.domains.files import FileRecord
from cloudyard.domains.identity import TokenPair, User
from cloudyard.domains.inference import Answer, Turn
from cloudyard.foundation.money import plain_number, usd_from_nanos
from cloudyard.surfaces.pynode.schemas import (
    ChatAnswer,
    File,
    HistoryMessage,
    Login,
    NewUser,
    Profile,
    Registration,
    Tokens,
    Usage,
    UserSummary,
)
from cloudyard.web.links import own_url


def user_summary(user: User) -> UserSummary:
    """A user after a login."""
    return UserSummary(id=user.id, email=user.email, name=user.name)


def profile(user: User) -> Profile:
    """A user's own profile."""
    return Profile(id=user.id, email=user.email, name=user.name, created_at=user.created_at, updated_at=user.updated_at)


def tokens(pair: TokenPair) -> Tokens:
    """The tokens of a session."""
    return Tokens(access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in)


def registration(pair: TokenPair) -> Registration:
    """The answer to a registration."""
    user = pair.user
    shown = NewUser(id=user.id, email=user.email, name=user.name, created_at=user.created_at)
    return Registration(user=shown, **tokens(pair).model_dump())


def login(pair: TokenPair) -> Login:
    """The answer to a login."""
    return Login(user=user_summary(pair.user), **tokens(pair).model_dump())


def chat_answer(turn: Turn, answer: Answer) -> ChatAnswer:
    """What was said, with what it took."""
    usage = Usage(
        prompt_tokens=answer.usage.prompt,
        completion_tokens=answer.usage.completion,
        total_tokens=answer.usage.total,
        cost=plain_number(usd_from_nanos(answer.cost_nanos)),
    )
    return ChatAnswer(id=turn.id, message=turn.response, model=turn.model, usage=usage, created_at=turn.created_at)


def history_message(turn: Turn) -> HistoryMessage:
    """A line of the chat history."""
    return HistoryMessage(
        id=turn.id, message=turn.message, response=turn.response, model=turn.model, created_at=turn.created_at
    )


def file(record: FileRecord, connection: HTTPConnection) -> File:
    """A stored file."""
    return File(
        id=record.id,
        filename=record.filename,
        size=record.size,
        mime_type=record.content_type,
        url=own_url(connection, f"/api/files/{record.id}/download"),
        created_at=record.created_at,
        checksum=record.sha256,
    )

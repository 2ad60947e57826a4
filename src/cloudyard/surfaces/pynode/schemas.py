"""Bodies of Dev-PyNode, field by field as pynode.md shows them. Fields that it does not show come last."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=10_000)]
Email = Annotated[str, Field(max_length=10_000, json_schema_extra={"format": "email"})]


class Body(BaseModel):
    """A request body: values of exactly the types shown, unknown fields ignored."""

    model_config = ConfigDict(strict=True)


class RegisterRequest(Body):
    """POST /api/auth/register."""

    email: Email
    password: Text
    name: Text = ""


class LoginRequest(Body):
    """POST /api/auth/login."""

    email: Email
    password: Text


class RefreshRequest(Body):
    """POST /api/auth/refresh."""

    refresh_token: Text


class ProfileRequest(Body):
    """PUT /api/users/me; what is left out stays as it is."""

    name: Text | None = None
    email: Email | None = None


class ChatRequest(Body):
    """POST /api/chat. Without a model the installation's default answers."""

    model_config = ConfigDict(strict=True, protected_namespaces=())

    message: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


class SocketChat(ChatRequest):
    """`data` of a chat message on the WebSocket; `stream` asks for the pieces as they come."""

    stream: bool = False


class Message(BaseModel):
    """A confirmation."""

    message: str


class UserSummary(BaseModel):
    """The user in the answer to a login."""

    id: str
    email: str
    name: str


class NewUser(UserSummary):
    """The user in the answer to a registration."""

    created_at: datetime


class Profile(NewUser):
    """GET and PUT /api/users/me."""

    updated_at: datetime


class Tokens(BaseModel):
    """The tokens of a session. `expires_in` is in seconds; a refresh token is good once."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme, no secret


class Registration(Tokens):
    """The answer to a registration."""

    user: NewUser


class Login(Tokens):
    """The answer to a login."""

    user: UserSummary


class Usage(BaseModel):
    """Tokens of a chat call, and its price in dollars."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float


class ChatAnswer(BaseModel):
    """The answer to POST /api/chat, and `data` of `chat_response` on the WebSocket."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    message: str
    model: str
    usage: Usage
    created_at: datetime


class HistoryMessage(BaseModel):
    """A question and its answer."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    message: str
    response: str
    model: str
    created_at: datetime


class History(BaseModel):
    """GET /api/chat/history, newest first."""

    messages: list[HistoryMessage]
    total: int
    limit: int
    offset: int


class File(BaseModel):
    """A stored file. `url` gives its bytes to its owner; `checksum` is their SHA-256 in hexadecimal."""

    id: str
    filename: str
    size: int
    mime_type: str
    url: str
    created_at: datetime
    checksum: str


class FileList(BaseModel):
    """GET /api/files, newest first."""

    files: list[File]
    total: int
    limit: int
    offset: int


class Health(BaseModel):
    """GET /health. `uptime` is in seconds."""

    status: Literal["healthy"]
    timestamp: datetime
    version: str
    uptime: int


class Ready(BaseModel):
    """GET /ready. `backends` names what stands behind each service; `problems` says what is wrong, to administrators
    in full. It is ready while a service is degraded."""

    status: Literal["ready", "not_ready"]
    services: dict[str, Literal["connected", "degraded", "disconnected"]]
    backends: dict[str, str]
    problems: dict[str, str]


class ErrorDetails(BaseModel):
    """What is wrong with which input."""

    field: str | None = None
    reason: str | None = None


class Error(BaseModel):
    """Every error. `retry_after` is in seconds."""

    error: str
    message: str
    code: str
    details: ErrorDetails | None = None
    retry_after: int | None = None

"""Shapes of `/v1` that are the surface's own: models, files, and requests for responses.

Requests for chat, completions and embeddings are the inference domain's; their answers are described in
`answers.py`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field

from cloudyard.domains.inference.requests import Name, Probability, Temperature, TokenCount

# --- Models and files: FastAPI routes ------------------------------------------------------------


class ModelObject(BaseModel):
    """A model, or another name of one."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time in seconds.")
    owned_by: str
    alias_of: str | None = Field(None, description="The catalogue model that this name stands for.")


class ModelList(BaseModel):
    """The models that the caller may use."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class FileObject(BaseModel):
    """A stored file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="Unix time in seconds.")
    expires_at: int | None = None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"


class FileList(BaseModel):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool


class Deleted(BaseModel):
    """Something that is gone now."""

    id: str
    object: str
    deleted: Literal[True] = True


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every failure."""

    model_config = ConfigDict(json_schema_extra={"description": "Every failure."})

    error: ErrorDetail


# --- Responses: decoded with msgspec -------------------------------------------------------------


class ContentPart(Struct, frozen=True):
    """A piece of text in a message, to the model or from it."""

    type: Literal["input_text", "output_text"]
    text: str


class InputItem(Struct, frozen=True, omit_defaults=True):
    """A message, a call that the model asked for, or the result of one."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[ContentPart] | None = None


class TextFormat(Struct, frozen=True, omit_defaults=True):
    """The form of the answer; a schema with `json_schema`."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextConfig(Struct, frozen=True, omit_defaults=True):
    """How text is answered."""

    format: TextFormat | None = None


class FunctionTool(Struct, frozen=True, omit_defaults=True):
    """A function that the model may ask to be called."""

    name: Name
    type: Literal["function"] = "function"
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(Struct, frozen=True):
    """The one function that must be called."""

    name: Name
    type: Literal["function"] = "function"


class ResponseRequest(Struct, frozen=True, omit_defaults=True):
    """A response (OpenAI API reference, responses)."""

    model: Name
    input: Annotated[str, Meta(min_length=1)] | Annotated[list[InputItem], Meta(min_length=1, max_length=2048)]
    instructions: str | None = None
    previous_response_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    store: bool | None = None
    stream: bool | None = None
    max_output_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    text: TextConfig | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    metadata: (
        Annotated[dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]
        | None
    ) = None
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    user: str | None = None

"""The tools: what a model or an agent may do here in the name of the caller, charged and limited as everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.mcp.caller import Ctx, caller_of_tool, principal_of, request_id_of
from cloudyard.surfaces.mcp.chat import Chat, Question, told
from cloudyard.surfaces.mcp.files import PIECE_BYTES, OwnFiles
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.views import (
    ChatAnswer,
    ChatTurn,
    Deleted,
    FileInfo,
    FilePage,
    FileText,
    LedgerLine,
    ModelInfo,
    WalletInfo,
    chat_turn,
    ledger_line,
    model_info,
    wallet_info,
)
from cloudyard.web.errors import log_withheld

READING = ToolAnnotations(readOnlyHint=True, openWorldHint=False)
ADDING = ToolAnnotations(readOnlyHint=False, destructiveHint=False, idempotentHint=False, openWorldHint=False)
DELETING = ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=True, openWorldHint=False)
MOST_ENTRIES = 100
LONGEST_UPLOAD = 1024 * 1024

Entries = Annotated[int, Field(ge=1, le=MOST_ENTRIES, description="How many, newest first.")]
Skipped = Annotated[int, Field(ge=0, le=1_000_000_000, description="How many of the newest to leave out.")]
FileId = Annotated[str, Field(description="The file's id, as `list_files` tells it.")]


def add_tools(server: MCPServer[Any], services: McpServices) -> None:
    """Register every tool."""
    _add_model_tools(server, services)
    _add_account_tools(server, services)
    _add_file_tools(server, OwnFiles(services.files))


def _add_model_tools(server: MCPServer[Any], services: McpServices) -> None:
    chats = Chat(services)

    @server.tool(annotations=READING)
    async def list_models(ctx: Ctx) -> list[ModelInfo]:
        """List the models that can be asked."""
        caller = principal_of(ctx.request_context.request)
        return [model_info(model) for model in services.catalogue.models() if caller.may_use_model(model.name)]

    @server.tool(annotations=ADDING)
    async def chat(
        ctx: Ctx,
        message: Annotated[str, Field(min_length=1, description="What to ask.")],
        model: Annotated[str | None, Field(description="A model's name; left out, the default one.")] = None,
        system: Annotated[str | None, Field(description="Instructions for the model.")] = None,
        max_tokens: Annotated[int | None, Field(ge=1, description="The longest answer, in tokens.")] = None,
        idempotency_key: Annotated[
            str | None,
            Field(
                min_length=1,
                max_length=255,
                description="Any text of your own for this question. The same question with the same key within a day "
                "gets the same answer and is charged once.",
            ),
        ] = None,
    ) -> ChatAnswer:
        """Ask a model. What it takes is charged to the caller's credits; the text comes as progress too."""
        pieces = 0

        async def report(piece: str) -> None:
            nonlocal pieces
            if piece:
                pieces += 1
                await ctx.report_progress(pieces, message=piece)

        with _told_to_the_model():
            caller = caller_of_tool(ctx, "chat")
            question = Question(message, model, system, max_tokens)
            request_id = request_id_of(ctx.request_context.request)
            return await chats.answer(caller, question, request_id, report, key=idempotency_key)

    @server.tool(annotations=READING)
    async def chat_history(ctx: Ctx, limit: Entries = 20, skip: Skipped = 0) -> list[ChatTurn]:
        """List what the caller asked and was answered, newest first."""
        with _told_to_the_model():
            caller = caller_of_tool(ctx, "chat_history")
            turns, _ = await services.conversations.turns(caller.user_id, limit=limit, offset=skip)
            return [chat_turn(turn) for turn in turns]


def _add_account_tools(server: MCPServer[Any], services: McpServices) -> None:
    rate = services.credit_rate

    @server.tool(annotations=READING)
    async def wallet(ctx: Ctx) -> WalletInfo:
        """Tell how many credits the caller has."""
        with _told_to_the_model():
            caller = caller_of_tool(ctx, "wallet")
            return wallet_info(await services.ledger.wallet(caller.user_id), rate)

    @server.tool(annotations=READING)
    async def credit_history(ctx: Ctx, limit: Entries = 20, skip: Skipped = 0) -> list[LedgerLine]:
        """List what changed the caller's credits, newest first."""
        with _told_to_the_model():
            caller = caller_of_tool(ctx, "credit_history")
            entries, _ = await services.ledger.history(caller.user_id, limit=limit, offset=skip)
            return [ledger_line(entry, rate) for entry in entries]


def _add_file_tools(server: MCPServer[Any], files: OwnFiles) -> None:
    @server.tool(annotations=READING)
    async def list_files(
        ctx: Ctx,
        limit: Entries = 20,
        after: Annotated[str | None, Field(description="`next` of the page before.")] = None,
    ) -> FilePage:
        """List the caller's files, newest first."""
        with _told_to_the_model():
            return await files.page(caller_of_tool(ctx, "list_files"), limit=limit, after=after)

    @server.tool(annotations=READING, description=f"Read a text file of the caller's, {PIECE_BYTES} bytes at a time.")
    async def read_file(
        ctx: Ctx,
        file_id: FileId,
        offset: Annotated[int, Field(ge=0, description="The byte to begin at: `next_offset` of the piece before.")] = 0,
    ) -> FileText:
        with _told_to_the_model():
            return await files.text(caller_of_tool(ctx, "read_file"), file_id, offset)

    @server.tool(annotations=ADDING)
    async def upload_file(
        ctx: Ctx,
        filename: Annotated[str, Field(min_length=1, max_length=255, description="Its name, e.g. `notes.md`.")],
        text: Annotated[str, Field(max_length=LONGEST_UPLOAD, description="What is in it.")],
        content_type: Annotated[str | None, Field(max_length=100, description="Left out: plain text.")] = None,
    ) -> FileInfo:
        """Keep a text as a file of the caller's. Larger files, and such as are no text, go to /v1/files."""
        with _told_to_the_model():
            return await files.upload(caller_of_tool(ctx, "upload_file"), filename, text, content_type)

    @server.tool(annotations=DELETING)
    async def delete_file(ctx: Ctx, file_id: FileId) -> Deleted:
        """Delete a file of the caller's, for good."""
        with _told_to_the_model():
            await files.delete(caller_of_tool(ctx, "delete_file"), file_id)
            return Deleted(deleted=file_id)


@contextmanager
def _told_to_the_model() -> Iterator[None]:
    """What a caller can act upon is the tool's result: the model reads it."""
    try:
        yield
    except DomainError as error:
        log_withheld(error)
        raise ToolError(told(error)) from error

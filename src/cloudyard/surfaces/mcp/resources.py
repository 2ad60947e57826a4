"""Resources: what a client may read and put before a model. Their addresses begin with `cloudyard://`."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    Annotations,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

from cloudyard.domains.files import FileNotFound
from cloudyard.domains.identity import Principal, Scope
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.caller import principal_of
from cloudyard.surfaces.mcp.files import OwnFiles, is_text
from cloudyard.surfaces.mcp.scopes import needed_for
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.views import FileInfo, chat_turn, model_info, wallet_info
from cloudyard.web.errors import log_withheld

MODELS = "cloudyard://models"
MODEL = MODELS + "/"
WALLET = "cloudyard://wallet"
CHAT_HISTORY = "cloudyard://chat-history"
FILE = "cloudyard://files/"
JSON = "application/json"
FILES_A_PAGE = 100
TURNS = 50
RESOURCE_NOT_FOUND = -32002
"""Of the revisions before 2026-07-28; since then it is INVALID_PARAMS (both: Resources, Error Handling)."""

Ctx = ServerRequestContext[Any, Any]
Contents = TextResourceContents | BlobResourceContents

TEMPLATES = (
    ResourceTemplate(name="model", uri_template=MODEL + "{name}", description="A model.", mime_type=JSON),
    ResourceTemplate(name="file", uri_template=FILE + "{id}", description="A file of the caller's, up to 1 MiB."),
)


class Resources:
    """Lists resources and reads them, each as far as the caller's credential reaches."""

    def __init__(self, services: McpServices) -> None:
        self._services = services
        self._files = OwnFiles(services.files)

    async def page(self, ctx: Ctx, params: PaginatedRequestParams | None) -> ListResourcesResult:
        """A page: what there always is and the models come first, files after them, newest first."""
        caller = principal_of(ctx.request)
        cursor = params.cursor if params is not None else None
        first = [] if cursor is not None else [*self._fixed(caller), *self._models(caller)]
        if not caller.allows(Scope.FILES):
            return ListResourcesResult(resources=first)
        try:
            page = await self._files.page(caller, limit=FILES_A_PAGE, after=cursor)
        except FileNotFound as error:
            raise MCPError(INVALID_PARAMS, "This cursor is not one that was given out here. Begin anew.") from error
        except DomainError as error:
            log_withheld(error)
            raise _failure(error) from error
        return ListResourcesResult(resources=[*first, *map(_of_file, page.files)], next_cursor=page.next)

    async def templates(self, _ctx: Ctx, _params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        """How addresses are made."""
        return ListResourceTemplatesResult(resource_templates=[*TEMPLATES])

    async def read(self, ctx: Ctx, params: ReadResourceRequestParams) -> ReadResourceResult:
        """What a resource holds."""
        caller, uri = principal_of(ctx.request), params.uri
        try:
            needed = needed_for("resources/read", uri)
            if needed is not None:
                caller.require(needed)
            contents = await self._contents(caller, uri)
        except DomainError as error:
            log_withheld(error)
            if error.kind is ErrorKind.NOT_FOUND:
                raise _not_found(ctx, error.message, uri) from error
            raise _failure(error, uri=uri) from error
        if contents is None:
            raise _not_found(ctx, "There is no such resource. List the resources to see what there is.", uri)
        return ReadResourceResult(contents=[contents])

    async def _contents(self, caller: Principal, uri: str) -> Contents | None:
        services = self._services
        if uri == MODELS:
            return _json(uri, [model_info(m) for m in services.catalogue.models() if caller.may_use_model(m.name)])
        if uri == WALLET:
            return _json(uri, wallet_info(await services.ledger.wallet(caller.user_id), services.credit_rate))
        if uri == CHAT_HISTORY:
            turns, _ = await services.conversations.turns(caller.user_id, limit=TURNS, offset=0)
            return _json(uri, [chat_turn(turn) for turn in turns])
        if uri.startswith(MODEL):
            return self._model(caller, uri)
        return await self._file(caller, uri) if uri.startswith(FILE) else None

    def _model(self, caller: Principal, uri: str) -> Contents | None:
        name = unquote(uri.removeprefix(MODEL))
        known = {model.name: model for model in self._services.catalogue.models() if caller.may_use_model(model.name)}
        return _json(uri, model_info(known[name])) if name in known else None

    async def _file(self, caller: Principal, uri: str) -> Contents:
        record, raw = await self._files.content(caller, unquote(uri.removeprefix(FILE)))
        if is_text(record.content_type):
            try:
                return TextResourceContents(uri=uri, mime_type=record.content_type, text=raw.decode())
            except UnicodeDecodeError:
                pass  # it calls itself text and is none: then its bytes
        return BlobResourceContents(uri=uri, mime_type=record.content_type, blob=b64encode(raw).decode())

    def _fixed(self, caller: Principal) -> list[Resource]:
        always = [
            Resource(name="models", uri=MODELS, description="The models that can be asked.", mime_type=JSON),
            Resource(name="wallet", uri=WALLET, description="Credits to spend, and set aside.", mime_type=JSON),
            Resource(name="chat-history", uri=CHAT_HISTORY, description="The latest questions.", mime_type=JSON),
        ]
        needed = {resource.uri: needed_for("resources/read", resource.uri) for resource in always}
        return [r for r in always if (scope := needed[r.uri]) is None or caller.allows(scope)]

    def _models(self, caller: Principal) -> list[Resource]:
        return [
            Resource(
                name=model.name, uri=MODEL + quote(model.name), description=model.description or None, mime_type=JSON
            )
            for model in self._services.catalogue.models()
            if caller.may_use_model(model.name)
        ]


def _of_file(file: FileInfo) -> Resource:
    changed = Annotations(last_modified=file.created_at)
    return Resource(
        name=file.filename, uri=FILE + file.id, mime_type=file.content_type, size=file.size, annotations=changed
    )


def _json(uri: str, told: BaseModel | list[Any]) -> TextResourceContents:
    shown = [each.model_dump() for each in told] if isinstance(told, list) else told.model_dump()
    return TextResourceContents(uri=uri, mime_type=JSON, text=msgspec.json.encode(shown).decode())


def _failure(error: DomainError, **about: str) -> MCPError:
    code = INVALID_REQUEST if error.kind in (ErrorKind.FORBIDDEN, ErrorKind.INVALID) else INTERNAL_ERROR
    return MCPError(code, error.message, {**about, "code": error.code})


def _not_found(ctx: Ctx, message: str, uri: str) -> MCPError:
    code = INVALID_PARAMS if is_version_at_least(ctx.protocol_version, "2026-07-28") else RESOURCE_NOT_FOUND
    return MCPError(code, message, {"uri": uri})

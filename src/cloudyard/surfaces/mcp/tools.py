"""The tools: what a model or an agent may do here in the name of the caller, charged and limited as everywhere."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.inference import Answer, CallContext, ChatRequest, Message
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.money import plain_number, usd_from_nanos
from cloudyard.surfaces.mcp.policy import POLICY
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.web.token_limits import TokenLimits

READING = ToolAnnotations(readOnlyHint=True, openWorldHint=False)
MOST_ENTRIES = 100

Ctx = Context[Any, Any]
Entries = Annotated[int, Field(ge=1, le=MOST_ENTRIES, description="How many, newest first.")]


class ModelInfo(BaseModel):
    """A model that can be asked."""

    name: str
    kind: str
    context_length: int
    capabilities: list[str]


class ChatAnswer(BaseModel):
    """What a model answered, and what it cost."""

    text: str
    model: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


class WalletInfo(BaseModel):
    """The caller's credits: free to spend, and set aside for calls that run."""

    credits: float
    held: float


class LedgerLine(BaseModel):
    """A change of the caller's credits, and what was owned afterwards."""

    at: str
    kind: str
    amount: float
    balance: float
    description: str


class ChatTurn(BaseModel):
    """A question and its answer."""

    at: str
    model: str
    question: str
    answer: str


def add_tools(server: MCPServer[Any], services: McpServices) -> None:
    """Register every tool."""
    _add_model_tools(server, services)
    _add_account_tools(server, services)


def _add_model_tools(server: MCPServer[Any], services: McpServices) -> None:
    tokens = TokenLimits(POLICY, services.limits, services.catalogue, services.metrics)

    @server.tool(annotations=READING)
    async def list_models(ctx: Ctx) -> list[ModelInfo]:
        """List the models that can be asked."""
        caller = _caller(ctx)
        return [
            ModelInfo(
                name=model.name,
                kind=model.kind.value,
                context_length=model.context_length,
                capabilities=sorted(model.capabilities),
            )
            for model in services.catalogue.models()
            if caller.may_use_model(model.name)
        ]

    @server.tool(annotations=ToolAnnotations(readOnlyHint=False, destructiveHint=False, openWorldHint=False))
    async def chat(
        ctx: Ctx,
        message: Annotated[str, Field(min_length=1, description="What to ask.")],
        model: Annotated[str | None, Field(description="A model's name; left out, the default one.")] = None,
        system: Annotated[str | None, Field(description="Instructions for the model.")] = None,
        max_tokens: Annotated[int | None, Field(ge=1, description="The longest answer, in tokens.")] = None,
    ) -> ChatAnswer:
        """Ask a model. What it takes is charged to the caller's credits."""
        caller = _caller(ctx)
        spoken = [Message(role="system", content=system)] if system else []
        request = ChatRequest(
            model=model or services.catalogue.default_chat_model(),
            messages=[*spoken, Message(role="user", content=message)],
            max_tokens=max_tokens,
        )
        answer: Answer | None = None
        try:
            taken = await tokens.take(caller, request)
            try:
                answer = await services.generation.answer(caller, request, CallContext(POLICY.name, _request_id(ctx)))
            finally:
                await tokens.make_up(taken, answer)
        except DomainError as error:
            raise ToolError(error.message) from error
        return _shown(answer)


def _add_account_tools(server: MCPServer[Any], services: McpServices) -> None:
    rate = services.credit_rate

    @server.tool(annotations=READING)
    async def wallet(ctx: Ctx) -> WalletInfo:
        """Tell how many credits the caller has."""
        caller = _caller(ctx, Scope.WALLET)
        found = await services.ledger.wallet(caller.user_id)
        return WalletInfo(
            credits=float(rate.credits(found.available)),
            held=float(rate.credits(found.held)),
        )

    @server.tool(annotations=READING)
    async def credit_history(ctx: Ctx, limit: Entries = 20) -> list[LedgerLine]:
        """List what changed the caller's credits, newest first."""
        caller = _caller(ctx, Scope.WALLET)
        entries, _ = await services.ledger.history(caller.user_id, limit=limit)
        return [
            LedgerLine(
                at=entry.created_at.isoformat(),
                kind=entry.kind.value,
                amount=float(rate.credits(entry.amount)),
                balance=float(rate.credits(entry.balance)),
                description=entry.description,
            )
            for entry in entries
        ]

    @server.tool(annotations=READING)
    async def chat_history(ctx: Ctx, limit: Entries = 20) -> list[ChatTurn]:
        """List what the caller asked and was answered, newest first."""
        caller = _caller(ctx, Scope.INFERENCE)
        turns, _ = await services.conversations.turns(caller.user_id, limit=limit, offset=0)
        return [
            ChatTurn(at=turn.created_at.isoformat(), model=turn.model, question=turn.message, answer=turn.response)
            for turn in turns
        ]


def _caller(ctx: Ctx, *scopes: Scope) -> Principal:
    """Who is calling, as the gate found out. Raises `ToolError` where the caller's key does not reach so far."""
    principal: Principal = _state(ctx)["principal"]
    try:
        for scope in scopes:
            principal.require(scope)
    except DomainError as error:
        raise ToolError(error.message) from error
    return principal


def _request_id(ctx: Ctx) -> str:
    found: str = _state(ctx)["request_id"]
    return found


def _state(ctx: Ctx) -> dict[str, Any]:
    """What the gate found out about the HTTP request."""
    request = ctx.request_context.request
    if request is None:
        raise RuntimeError("a tool was called outside of a request")
    state: dict[str, Any] = request.scope["state"]
    return state


def _shown(answer: Answer) -> ChatAnswer:
    return ChatAnswer(
        text=answer.text,
        model=answer.served_by,
        finish_reason=answer.body["choices"][0].get("finish_reason"),
        prompt_tokens=answer.usage.prompt,
        completion_tokens=answer.usage.completion,
        cost_usd=float(plain_number(usd_from_nanos(answer.cost_nanos))),
    )

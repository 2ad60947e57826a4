"""Models and answers in the shapes of MCP Endpoints."""

from collections.abc import Mapping
from typing import Any

from cloudyard.domains.billing import PriceBook
from cloudyard.domains.billing.prices import Meter, Price
from cloudyard.domains.identity import Principal
from cloudyard.domains.inference import Answer, Catalogue, ChatRequest, Message, Model, ModelKind
from cloudyard.foundation.money import plain_number, usd_from_nanos
from cloudyard.surfaces.aihub import chat_schemas as schemas
from cloudyard.surfaces.aihub.schemas import Number


def chat_request(body: schemas.ChatCompletionBody) -> ChatRequest:
    """What is asked, as inference takes it."""
    return ChatRequest(
        model=body.model,
        messages=[Message(role=message.role, content=message.content) for message in body.messages],
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        stream=body.stream,
    )


def model_views(catalogue: Catalogue, prices: PriceBook, caller: Principal) -> list[schemas.ModelView]:
    """Every name of a chat model that the caller may use, by name. Raises `PriceMissing` for one without a price."""
    names = {model.name for model in catalogue.models()} | catalogue.aliases().keys()
    named = [(name, catalogue.find(name)) for name in sorted(names)]
    return [
        _model_view(name, model, prices.current(model.sku))
        for name, model in named
        if model.kind is ModelKind.CHAT and (caller.may_use_model(model.name) or caller.may_use_model(name))
    ]


def completion_view(answer: Answer, fallback_id: str) -> schemas.ChatCompletionView:
    """A whole answer. A provider may leave out the id, not what the contract promises."""
    body = answer.body
    return schemas.ChatCompletionView(
        id=body.get("id") or fallback_id,
        model=body["model"],
        choices=[_choice(number, choice) for number, choice in enumerate(body["choices"])],
        usage=_usage(answer),
        cost=_cost(answer),
    )


def chunk_view(chunk: Mapping[str, Any], fallback_id: str) -> schemas.ChatCompletionChunk:
    """A piece of a streamed answer."""
    return schemas.ChatCompletionChunk(
        id=chunk.get("id") or fallback_id,
        model=chunk["model"],
        choices=[_chunk_choice(number, choice) for number, choice in enumerate(chunk["choices"])],
    )


def closing_view(answer: Answer, id: str) -> schemas.ChatCompletionChunk:
    """What ends a streamed answer: usage and cost."""
    return schemas.ChatCompletionChunk(
        id=id, model=answer.body["model"], choices=[], usage=_usage(answer), cost=_cost(answer)
    )


def _model_view(name: str, model: Model, price: Price) -> schemas.ModelView:
    return schemas.ModelView(
        id=name,
        name=model.name,
        provider=model.provider,
        description=model.description,
        pricing=schemas.PricingView(
            input_tokens=_usd_a_token(price, Meter.INPUT_TOKEN), output_tokens=_usd_a_token(price, Meter.OUTPUT_TOKEN)
        ),
        capabilities=sorted(model.capabilities),
    )


def _usd_a_token(price: Price, meter: Meter) -> Number:
    line = price.line(meter)
    return plain_number(usd_from_nanos(line.nanos) / line.per) if line is not None else 0


def _choice(number: int, choice: Mapping[str, Any]) -> schemas.ChoiceView:
    message = schemas.AnswerMessage(content=choice["message"].get("content") or "")
    index = choice.get("index", number)
    return schemas.ChoiceView(index=index, message=message, finish_reason=choice.get("finish_reason"))


def _chunk_choice(number: int, choice: Mapping[str, Any]) -> schemas.ChunkChoice:
    delta = choice.get("delta") or {}
    said = schemas.Delta(**{name: delta[name] for name in ("role", "content") if delta.get(name) is not None})
    index = choice.get("index", number)
    return schemas.ChunkChoice(index=index, delta=said, finish_reason=choice.get("finish_reason"))


def _usage(answer: Answer) -> schemas.UsageView:
    usage = answer.usage
    return schemas.UsageView(prompt_tokens=usage.prompt, completion_tokens=usage.completion, total_tokens=usage.total)


def _cost(answer: Answer) -> Number:
    return plain_number(usd_from_nanos(answer.cost_nanos))

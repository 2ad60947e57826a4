"""Models, the servers that run them, and charged calls of them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.model_store.catalogue_entries import default_models, document_aliases
from cloudyard.domains.inference import Catalogue, Conversations, Generation, Observer, Router
from cloudyard.foundation.durable import Loop, every
from cloudyard.wiring.foundation import Foundation
from cloudyard.wiring.money import Money

CATALOGUE_READ_EVERY_SECONDS = 5.0
"""How soon this process learns of a model that another one added."""


@dataclass(frozen=True, slots=True)
class Inference:
    """The services of the inference domain, and what they do in the background."""

    catalogue: Catalogue
    router: Router
    local_models: LlamaCppModels
    generation: Generation
    conversations: Conversations
    loops: Mapping[str, Loop]


def open_inference(base: Foundation, money: Money, stack: AsyncExitStack) -> Inference:
    """Open the catalogue and what it calls; `stack` ends local models and closes connections."""
    settings, clock = base.settings, base.clock
    catalogue = Catalogue(
        base.database,
        clock,
        base.secrets,
        settings.inference,
        settings.data_dir / "models",
        defaults=default_models(settings.inference),
        aliases=document_aliases(settings),
    )
    local_models = LlamaCppModels(settings.data_dir / "logs", clock, base.ids)
    stack.push_async_callback(local_models.close)
    provider = OpenAICompatible(base.tracing.outgoing_headers, clock)
    stack.push_async_callback(provider.close)
    router = Router(clock)
    observer = Observer(base.metrics, base.tracing, clock, capture_content=settings.telemetry.capture_content)
    return Inference(
        catalogue,
        router,
        local_models,
        Generation(catalogue, money.prices, money.charges, router, provider, local_models, observer),
        Conversations(base.database, clock, base.ids),
        loops={"catalogue": every(clock, CATALOGUE_READ_EVERY_SECONDS, catalogue.load)},
    )

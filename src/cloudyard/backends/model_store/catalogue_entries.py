"""The default models as the catalogue lists them, their prices, and the documents' names for them."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from cloudyard.backends.model_store.default_models import MINILM, SMOLLM2
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.billing import PriceSettings
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings

MILLION = 1_000_000
CONTEXT_LENGTH = 2048
DOCUMENT_NAMES = ("gpt-4", "gpt-3.5-turbo", "gpt-4o", "gpt-4o-mini", "llama-2-7b")
DOCUMENT_EMBEDDING_NAMES = ("text-embedding-ada-002", "text-embedding-3-small")


def default_models(settings: InferenceSettings) -> Mapping[str, ModelSettings]:
    """Catalogue entries of the two models that come with Cloudyard; none if the settings leave them out."""
    if not settings.default_models:
        return {}
    return {
        SMOLLM2.name: ModelSettings(
            kind="chat",
            description="SmolLM2 135M Instruct: small and quick, proves the path; bring a larger one for good answers.",
            provider="huggingface",
            context_length=min(CONTEXT_LENGTH, SMOLLM2.context_length),
            max_output_tokens=CONTEXT_LENGTH // 2,
            capabilities=["text", "json_schema"],
            deployments=[DeploymentSettings(name="local", kind="local", path=Path(SMOLLM2.file_name))],
        ),
        MINILM.name: ModelSettings(
            kind="embedding",
            description="all-MiniLM-L6-v2: sentence embeddings of 384 dimensions.",
            provider="sentence-transformers",
            context_length=MINILM.context_length,
            capabilities=["embeddings"],
            deployments=[DeploymentSettings(name="local", kind="local", path=Path(MINILM.file_name))],
        ),
    }


def default_prices(settings: InferenceSettings) -> Mapping[str, list[PriceSettings]]:
    """Prices of the default models, in dollars for a million tokens."""
    if not settings.default_models:
        return {}
    return {
        f"model:{SMOLLM2.name}": [
            PriceSettings(meter="input_token", usd=Decimal("0.15"), per=MILLION),
            PriceSettings(meter="output_token", usd=Decimal("0.60"), per=MILLION),
        ],
        f"model:{MINILM.name}": [PriceSettings(meter="input_token", usd=Decimal("0.02"), per=MILLION)],
    }


def document_aliases(settings: Settings) -> Mapping[str, str]:
    """The model names that the published documents use, mapped to the default models where that is on."""
    wanted = settings.inference.document_aliases
    if not (settings.development if wanted is None else wanted):
        return {}
    chat = dict.fromkeys(DOCUMENT_NAMES, settings.inference.default_chat_model)
    return {**chat, **dict.fromkeys(DOCUMENT_EMBEDDING_NAMES, MINILM.name)}

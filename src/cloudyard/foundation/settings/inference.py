"""Which models there are and what runs them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from cloudyard.foundation.settings.area import Area


class DeploymentSettings(Area):
    """One thing that can serve a model: a local GGUF file or an OpenAI-compatible server."""

    name: str = Field(description="Unique within the model.")
    kind: Literal["local", "openai"] = Field(description="`local` runs llama.cpp here; `openai` calls a server.")
    path: Path | None = Field(None, description="GGUF file of a local deployment; relative to data_dir/models.")
    base_url: str | None = Field(None, description="Base URL of an OpenAI-compatible server, ending in /v1.")
    api_key: SecretStr | None = Field(None, description="Its key.")
    upstream_model: str | None = Field(None, description="The model's name there; default: the catalogue name.")
    weight: int = Field(1, ge=0, description="Share of the calls among healthy deployments; 0 is fallback only.")
    max_concurrency: int = Field(64, gt=0, description="Calls at once.")
    tokenizer: str | None = Field(
        None, description="Local model whose tokenizer counts where this server reports no usage."
    )
    timeout_seconds: float = Field(120, gt=0, description="Longest silence from the deployment.")


class ModelSettings(Area):
    """A model in the catalogue."""

    kind: Literal["chat", "embedding"] = Field("chat", description="What it does.")
    description: str = Field("", description="A line for people.")
    provider: str = Field("local", description="Who made or hosts it, as shown in model lists.")
    context_length: int = Field(2048, gt=0, description="Tokens of prompt and answer together.")
    max_output_tokens: int = Field(1024, gt=0, description="Answer length where the caller names none.")
    capabilities: list[str] = Field(default_factory=lambda: ["text"], description="text, json_schema, tools, ...")
    max_queue: int = Field(256, ge=0, description="Calls that may wait for a free slot.")
    deployments: list[DeploymentSettings] = Field(default_factory=list, description="What can serve it.")


class InferenceSettings(Area):
    """Models and their workers."""

    models: dict[str, ModelSettings] = Field(default_factory=dict, description="The catalogue, by name.")
    default_models: bool = Field(True, description="Add the two small local models that `cloudyard models fetch` gets.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Other names of models, e.g. gpt-4 -> mine.")
    document_aliases: bool | None = Field(
        None, description="Map the documents' model names to the default model; default: in development only."
    )
    default_chat_model: str = Field("smollm2-135m", description="Used where a request may leave the model out.")
    slots: int = Field(8, gt=0, description="Parallel sequences of a local model.")
    threads: int | None = Field(None, gt=0, description="CPU threads of a local model; default: all.")
    batch_tokens: int = Field(
        32,
        gt=0,
        description="Tokens of a prompt that a local model reads in one step; after each it looks whether its caller "
        "is still there. More are faster: a tenth with 64 on a CPU, many times on a GPU.",
    )
    working_memory_mib: int = Field(
        4096,
        gt=0,
        description="Memory that answering may take beyond what a loaded local model does; a request that wants more "
        "fails. Only on Linux.",
    )
    idle_unload_seconds: float | None = Field(None, gt=0, description="Unload an idle local model; default: never.")
    start_at_boot: bool = Field(True, description="Start local models with the server, not at their first call.")

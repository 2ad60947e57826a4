"""Counting tokens with a model's own tokenizer, where a provider did not say how many there were."""

from dataclasses import replace

import msgspec

from cloudyard.domains.inference.errors import LocalModelUnavailable, ProviderUnavailable
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.ports import Endpoint, LocalModels, Provider
from cloudyard.domains.inference.records import Deployment, TokenUsage

TOKENIZE_PATH = "/tokenize"
TIMEOUT_SECONDS = 10.0


class TokenCounter:
    """Counts with the tokenizer of the deployment itself, or of the local model named as its tokenizer."""

    def __init__(self, provider: Provider, local_models: LocalModels) -> None:
        self._provider = provider
        self._local_models = local_models

    async def count(self, deployment: Deployment, prompt: str, meter: StreamMeter) -> TokenUsage:
        """Tokens of a prompt and of what was delivered; the usual estimate if no tokenizer can be reached."""
        local = deployment.local or deployment.tokenizer
        if local is None:
            return meter.estimate()
        # The tokenizer finds the fewest tokens that give a text; llama.cpp sent a chunk for each that it generated,
        # but for characters that take several.
        least = meter.chunks if deployment.local is not None else 0
        told = meter.prompt_tokens
        try:
            async with self._local_models.lease(local) as endpoint:
                prompt_tokens = await self._tokens(endpoint, prompt) if told is None else told
                return TokenUsage(prompt_tokens, max(least, await self._tokens(endpoint, meter.delivered)))
        except (LocalModelUnavailable, ProviderUnavailable):
            return meter.estimate() if told is None else TokenUsage(told, least, estimated=True)

    async def _tokens(self, endpoint: Endpoint, text: str) -> int:
        if not text:
            return 0
        root = replace(endpoint, base_url=endpoint.base_url.removesuffix("/v1"))
        body = msgspec.json.encode({"content": text})
        answer = msgspec.json.decode(await self._provider.call(root, TOKENIZE_PATH, body, TIMEOUT_SECONDS))
        return len(answer["tokens"])

"""Log probabilities of text completions in the form of the older endpoint (OpenAI API reference, legacy completions).

Runtimes such as llama.cpp tell them in the form of chat completions at that endpoint, too.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cloudyard.domains.inference.errors import ProviderUnavailable
from cloudyard.domains.inference.preparation import COMPLETION_PATH, Call


class _Likely(Struct):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] = []


class LegacyLogprobs:
    """Translates the choices of one call, whole or piece by piece.

    `most` is how many of the likeliest tokens were asked for; the token that was taken comes on top of them.
    Offsets are in characters, from the beginning of the choice's text.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lengths: dict[int, int] = {}

    @classmethod
    def of(cls, call: Call) -> "LegacyLogprobs | None":
        """What the answer to a call is translated with, if it is to be."""
        most = call.payload.get("logprobs") if call.path == COMPLETION_PATH else None
        return None if most is None else cls(most)

    def translate(self, body: Mapping[str, Any]) -> None:
        """Rewrite the choices of an answer or a chunk; what has the older form already is left alone.

        Raises `ProviderUnavailable` for log probabilities of no sense.
        """
        for choice in body.get("choices") or ():
            index = choice.get("index", 0)
            begin = self._lengths.get(index, 0)
            self._lengths[index] = begin + len(choice.get("text") or "")
            told = choice.get("logprobs")
            if isinstance(told, dict) and isinstance(told.get("content"), list):
                choice["logprobs"] = self._legacy(_tokens(told["content"]), begin)

    def _legacy(self, tokens: list[_Token], begin: int) -> dict[str, Any]:
        offsets = []
        for token in tokens:
            offsets.append(begin)
            begin += len(token.token)
        return {
            "tokens": [token.token for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [self._likeliest(token) for token in tokens],
            "text_offset": offsets,
        }

    def _likeliest(self, token: _Token) -> dict[str, float]:
        likeliest = {likely.token: likely.logprob for likely in token.top_logprobs[: self._most]}
        return {**likeliest, token.token: token.logprob}


def _tokens(content: list[Any]) -> list[_Token]:
    try:
        return msgspec.convert(content, list[_Token])
    except msgspec.ValidationError as error:
        raise ProviderUnavailable(f"The provider's log probabilities cannot be used: {error}.") from error

"""Counting what a call consumed: from the provider's own usage, else from what was delivered."""

from collections.abc import Mapping
from typing import Any

from cloudyard.domains.inference.records import TokenUsage

BYTES_PER_TOKEN = 4
TOKENS_A_MESSAGE = 8
TOKENS_A_TEMPLATE = 64
"""What a chat template may add of its own, such as a system prompt; a bound, for holds."""


def most_tokens_of(text: str) -> int:
    """An upper bound of the tokens of a text: every token of a byte-level vocabulary covers a byte or more."""
    return len(text.encode("utf-8", "surrogatepass"))


def about_tokens_of(text: str) -> int:
    """A usual estimate of the tokens of a text, where no tokenizer is at hand."""
    return -(-most_tokens_of(text) // BYTES_PER_TOKEN)


def reported_usage(body: Mapping[str, Any]) -> TokenUsage | None:
    """The usage that an answer or a chunk reports, if it does."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not isinstance(prompt, int) or not isinstance(completion, int) or prompt < 0 or completion < 0:
        return None
    return TokenUsage(prompt, completion)


def delivered_text(body: Mapping[str, Any]) -> str:
    """The text in an answer or a chunk, all choices together, tool calls included."""
    pieces = []
    for choice in body.get("choices") or ():
        part = choice.get("delta") or choice.get("message") or choice
        pieces.append(part.get("content") or part.get("text") or "")
        pieces.append(part.get("reasoning_content") or "")
        pieces.extend(call.get("function", {}).get("arguments") or "" for call in part.get("tool_calls") or ())
    return "".join(pieces)


class StreamMeter:
    """Watches the chunks of a stream and knows at every moment what was consumed so far.

    `prompt_tokens` is the length of the prompt, where the runtime told it before its first chunk.
    """

    def __init__(self, prompt_text: str, *, prompts: int = 1, choices: int = 1) -> None:
        self._prompt_text = prompt_text
        self._prompts = prompts
        self._choices = choices
        self._reported: TokenUsage | None = None
        self._timed: dict[int, TokenUsage] = {}
        self._pieces: list[str] = []
        self.prompt_tokens: int | None = None

    def see(self, chunk: Mapping[str, Any]) -> None:
        """Take a chunk into account."""
        self._reported = reported_usage(chunk) or self._reported
        timed = _timed_usage(chunk)
        if timed is not None:
            self._timed[_choice_of(chunk)] = timed
        text = delivered_text(chunk)
        if text:
            self._pieces.append(text)

    @property
    def has_begun(self) -> bool:
        """Whether anything was generated."""
        return bool(self._pieces) or any(usage.completion for usage in self._timed.values())

    @property
    def known(self) -> TokenUsage | None:
        """What the runtime said: its usage, or its own running count.

        Where it answers several choices it reports each alone, so that the running counts are what adds up.
        """
        if self._timed and (self._reported is None or self._prompts * self._choices > 1):
            return self._counted()
        return self._reported

    def _counted(self) -> TokenUsage:
        prompts = [usage.prompt for usage in self._timed.values()]
        prompt = max(prompts) if self._prompts == 1 else sum(prompts) // self._choices
        return TokenUsage(prompt, sum(usage.completion for usage in self._timed.values()))

    @property
    def chunks(self) -> int:
        """Chunks with text so far: a runtime that answers token by token has generated no fewer tokens."""
        return len(self._pieces)

    @property
    def delivered(self) -> str:
        """The text delivered so far."""
        return "".join(self._pieces)

    def estimate(self) -> TokenUsage:
        """The usual estimate, for a provider that told nothing."""
        return TokenUsage(about_tokens_of(self._prompt_text), about_tokens_of(self.delivered), estimated=True)


def _choice_of(chunk: Mapping[str, Any]) -> int:
    choices = chunk.get("choices") or [{}]
    index: int = choices[0].get("index", 0)
    return index


def _timed_usage(chunk: Mapping[str, Any]) -> TokenUsage | None:
    """llama.cpp's running count (`timings_per_token`): exact also for a stream that is cut."""
    timings = chunk.get("timings")
    if not isinstance(timings, dict):
        return None
    read, cached, written = (timings.get(name, 0) for name in ("prompt_n", "cache_n", "predicted_n"))
    if not all(isinstance(count, int) and count >= 0 for count in (read, cached, written)):
        return None
    return TokenUsage(read + cached, written)

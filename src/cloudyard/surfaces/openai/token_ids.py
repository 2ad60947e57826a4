"""Token ids in the place of text, which OpenAI takes and some clients send unasked."""

import re

from cloudyard.web.errors import MalformedRequest

FIELD = re.compile(r"(input|prompt)(\.\d+)?")
NUMBERS = re.compile(r"Expected `str`, got `(int|array)`")
ADVICE = (
    "Send text: token ids belong to the vocabulary of one model, and are not taken here. "
    "With LangChain's OpenAIEmbeddings set `check_embedding_ctx_length=False`."
)


def with_advice(error: MalformedRequest) -> MalformedRequest:
    """The error, with what to do if it is about token ids."""
    issue = error.issues[0] if error.issues else None
    if issue is None or FIELD.fullmatch(issue.field) is None or NUMBERS.fullmatch(issue.message) is None:
        return error
    return MalformedRequest(f"{error.message}. {ADVICE}", error.issues)

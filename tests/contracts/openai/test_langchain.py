"""LangChain's client, unmodified, with a real model."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai_account import Account
from pydantic import BaseModel

MODEL = "smollm2-135m"


class Mood(BaseModel):
    """What the structured answer must be."""

    mood: Literal["glad", "sad"]


@pytest.fixture
def place(account: Account, key: str) -> dict[str, Any]:
    return {"base_url": account.base_url, "api_key": key, "max_retries": 0}


@pytest.fixture
def chat(place: dict[str, Any]) -> Iterator[ChatOpenAI]:
    yield ChatOpenAI(model=MODEL, temperature=0, max_tokens=20, **place)


def test_a_chat(chat: ChatOpenAI) -> None:
    answer = chat.invoke([SystemMessage("Be brief."), HumanMessage("What is the capital of France?")])
    assert answer.content
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["model_name"] == MODEL


async def test_streams(chat: ChatOpenAI) -> None:
    assert "".join(str(chunk.content) for chunk in chat.stream("Say hello."))
    chunks = [chunk async for chunk in chat.astream("Say hello.", stream_usage=True)]
    assert any(chunk.usage_metadata for chunk in chunks)


def test_a_structured_answer(chat: ChatOpenAI) -> None:
    answer = chat.with_structured_output(Mood, method="json_schema").invoke("Are you glad or sad?")
    assert isinstance(answer, Mood)


def test_embeddings(place: dict[str, Any]) -> None:
    embeddings = OpenAIEmbeddings(model="all-minilm-l6-v2", check_embedding_ctx_length=False, **place)
    vectors = embeddings.embed_documents(["one", "two"])
    assert [len(vector) for vector in vectors] == [384, 384]


def test_the_responses_api(place: dict[str, Any]) -> None:
    chat = ChatOpenAI(model=MODEL, use_responses_api=True, max_tokens=20, **place)
    answer = chat.invoke("Say hello.")
    assert answer.text
    assert answer.response_metadata["id"].startswith("resp_")
    assert "".join(chunk.text for chunk in chat.stream("Say hello."))

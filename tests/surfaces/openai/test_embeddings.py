"""POST /embeddings: numbers or base64, whichever the model's server prefers."""

import base64
import struct

import pytest
from openai_stack import Caller, Stack

from cloudyard.surfaces.openai.views import encoded_embedding
from cloudyard.testing.upstream import vector

FLOATS = [0.5, -1.0, 0.25]
PACKED = base64.b64encode(struct.pack("<3f", *FLOATS)).decode()


async def test_embeddings_as_numbers(stack: Stack, caller: Caller) -> None:
    response = await caller.client.post("/embeddings", json={"model": "vectors", "input": ["a b", "c"]})
    assert response.json() == {
        "object": "list",
        "model": "vectors",
        "data": [
            {"object": "embedding", "index": 0, "embedding": vector("a b")},
            {"object": "embedding", "index": 1, "embedding": vector("c")},
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3, "cost": 0.003},
    }
    assert response.headers["x-cloudyard-model"] == "vectors"
    assert await stack.spent(caller) == 3


async def test_embeddings_as_base64_from_a_server_that_gives_numbers(caller: Caller) -> None:
    body = {"model": "vectors", "input": "a b", "encoding_format": "base64"}
    [item] = (await caller.client.post("/embeddings", json=body)).json()["data"]
    packed = base64.b64decode(item["embedding"])
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(vector("a b"))


@pytest.mark.parametrize(
    ("given", "wanted", "shown"),
    [
        (FLOATS, "float", FLOATS),
        (FLOATS, "base64", PACKED),
        (PACKED, "float", FLOATS),
        (PACKED, "base64", PACKED),
        ([], "base64", ""),
    ],
)
def test_either_encoding_from_either(given: list[float] | str, wanted: str, shown: list[float] | str) -> None:
    assert encoded_embedding(given, wanted) == shown

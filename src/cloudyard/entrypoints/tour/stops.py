"""The stops of the tour."""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

from cloudyard.entrypoints.tour.curl import Credential, Upload, assignment
from cloudyard.entrypoints.tour.money import Purse
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import Talk
from cloudyard.foundation.ids import Ids

CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "country": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "country", "population"],
    "additionalProperties": False,
}
CITY_TEXT = "Berlin is the capital of Germany and has 3700000 inhabitants. Give city, country and population."
CITY_TYPES = {"city": str, "country": str, "population": int}
SENTENCES = ("The cat sleeps on the sofa.", "A kitten naps on the couch.", "The invoice is due on Friday.")


def open_account(talk: Talk, screen: Screen, ids: Ids) -> Credential:
    """Register a visitor and log in."""
    screen.stop("An account", "Registered at one surface (Smart AI Hub); the token it gives is good at all of them.")
    email, password = f"tour-{ids.hex(4)}@example.com", ids.token(12)
    person = {"email": email, "password": password, "firstName": "Ada", "lastName": "Visitor"}
    talk.json("POST", "/aihub/api/auth/register", body=person)
    login = {"email": email, "password": password}
    tokens = talk.json("POST", "/aihub/api/auth/login", body=login)["data"]["tokens"]
    token = Credential("TOKEN", tokens["accessToken"])
    screen.command(assignment(token))
    return token


def welcome(screen: Screen, purse: Purse) -> None:
    """The credits that a new account starts with."""
    screen.stop("Welcome credits", "One wallet, shown by two surfaces: Smart AI Hub in credits, NeuroGrid in dollars.")
    purse.open()


def make_key(talk: Talk, screen: Screen, token: Credential) -> Credential:
    """An API key for programs."""
    screen.stop("An API key", "For programs. It is shown this once; the server keeps a hash of it.")
    made = talk.json("POST", "/neurogrid/api/users/api-keys", body={"name": "tour"}, credential=token)
    key = Credential("KEY", made["data"]["key"])
    screen.command(assignment(key))
    return key


def streamed_answer(talk: Talk, screen: Screen, purse: Purse, key: Credential, model: str) -> None:
    """A chat completion, piece by piece."""
    screen.stop("A streamed answer", f"{model} runs on this machine; its words come as they are made.")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Explain in two sentences why the sky is blue."}],
        "max_tokens": 80,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    text = ""
    usage: dict[str, Any] = {}
    with talk.events("/v1/chat/completions", body, key) as events:
        screen.say()
        for event in events:
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                piece = choice["delta"].get("content") or ""
                text += piece
                screen.piece(piece)
    screen.say("\n")
    screen.check(bool(text.strip()), f"an answer of {len(text)} characters came")
    purse.charged("streamed answer", usage)


def structured_answer(talk: Talk, screen: Screen, purse: Purse, key: Credential, model: str) -> None:
    """An answer that must follow a JSON schema."""
    screen.stop("An answer in a form", "A JSON schema binds the model: whatever it says, a program can read it.")
    answer = talk.json(
        "POST",
        "/v1/chat/completions",
        body={
            "model": model,
            "messages": [{"role": "user", "content": CITY_TEXT}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY_SCHEMA}},
            "max_tokens": 120,
            "temperature": 0,
        },
        credential=key,
    )
    content = answer["choices"][0]["message"]["content"]
    screen.check(_follows_schema(content), f"it is JSON that follows the schema: {' '.join(content.split())}")
    purse.charged("JSON answer", answer["usage"])


def embeddings(talk: Talk, screen: Screen, purse: Purse, key: Credential, model: str) -> None:
    """Sentences as vectors."""
    screen.stop("Embeddings", "Three sentences as vectors: the two that mean the same lie closer together.")
    answer = talk.json("POST", "/v1/embeddings", body={"model": model, "input": list(SENTENCES)}, credential=key)
    vectors = [[float(number) for number in item["embedding"]] for item in answer["data"]]
    alike, unlike = _cosine(vectors[0], vectors[1]), _cosine(vectors[0], vectors[2])
    screen.check(alike > unlike, f"similarity {alike:.2f} of the two about cats, {unlike:.2f} of cat and invoice")
    purse.charged("embeddings", answer["usage"])


def remembered_chat(talk: Talk, screen: Screen, purse: Purse, token: Credential, model: str) -> None:
    """A chat that the server keeps."""
    screen.stop("Chat with a history", "Another surface (Dev-PyNode), the same models, wallet and token.")
    said = {"message": "What is the capital of France?", "model": model, "max_tokens": 40, "temperature": 0}
    answer = talk.json("POST", "/pynode/api/chat", body=said, credential=token)
    purse.charged("chat", answer["usage"])
    history = talk.json("GET", "/pynode/api/chat/history?limit=1", credential=token)
    kept = history["messages"][0]
    same = (kept["id"], kept["message"], kept["response"]) == (answer["id"], said["message"], answer["message"])
    screen.check(same, "the history holds this question and this answer")
    purse.unchanged("reading the history is free")


def file_round_trip(talk: Talk, screen: Screen, purse: Purse, token: Credential) -> None:
    """A file up, down and away."""
    screen.stop("A file", "Sent, fetched again, compared to the byte, and deleted.")
    upload = Upload("file", "notes.txt", "Boats: Halcyon, Petrel, Windhover.", "text/plain")
    stored = talk.json("POST", "/pynode/api/files/upload", credential=token, upload=upload)
    content = talk.download(stored["url"], token, save_as="notes.txt")
    sent, received = sha256(upload.content.encode()).hexdigest(), sha256(content).hexdigest()
    screen.check(sent == received, f"{len(content)} bytes came back, SHA-256 {received}")
    talk.json("DELETE", f"/pynode/api/files/{stored['id']}", credential=token)
    purse.unchanged("files are not charged")


def _follows_schema(content: str) -> bool:
    try:
        value: Any = json.loads(content, parse_float=Decimal)
    except json.JSONDecodeError:
        return False
    return (
        isinstance(value, dict)
        and value.keys() == CITY_TYPES.keys()
        and all(type(value[name]) is kind for name, kind in CITY_TYPES.items())
    )


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    dot = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return dot / (math.hypot(*left) * math.hypot(*right))

"""The stop at which an agent's own protocol is spoken: MCP, by the official client."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from cloudyard.entrypoints.tour.curl import Credential, curl_line
from cloudyard.entrypoints.tour.money import Purse
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import TIMEOUT_SECONDS, Talk, TourStopped

MCP_PATH = "/mcp"
REVISION = "2025-11-25"
"""The revision whose requests need least around them, for the command line; the client speaks the newest."""
QUESTION = "Name a colour of the sky."
ANSWER_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Visit:
    """What an agent found."""

    revision: str
    tools: tuple[str, ...]
    before: Mapping[str, Any]
    answer: Mapping[str, Any]
    after: Mapping[str, Any]


def agent_call(talk: Talk, screen: Screen, purse: Purse, key: Credential, model: str) -> None:
    """List the tools, ask a model through one, and look into the wallet before and after."""
    screen.stop("Tools for agents", "The Model Context Protocol, spoken by its official Python client.")
    url = talk.url(MCP_PATH)
    screen.command(_claude_line(url, key))
    screen.command(_curl_line(url, key, model))
    visit = _visited(url, key, model)
    screen.say()
    screen.say(f"  revision {visit.revision}; tools: {', '.join(visit.tools)}")
    screen.say(f"  asked    {QUESTION}")
    screen.say(f"  answer   {' '.join(str(visit.answer['text']).split())}")
    screen.say(
        f"  credits  {visit.before['credits']} before, {visit.after['credits']} after, as the tool `wallet` tells"
    )
    purse.charged("MCP tool", {**visit.answer, "cost": Decimal(repr(visit.answer["cost_usd"]))})


def _visited(url: str, key: Credential, model: str) -> Visit:
    try:
        return asyncio.run(_visit(url, key, model))
    except* (httpx2.HTTPError, MCPError, TourStopped) as failures:
        raise _stopped(url, failures) from failures


async def _visit(url: str, key: Credential, model: str) -> Visit:
    headers = {"Authorization": f"Bearer {key.value}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = (await client.list_tools()).tools
        return Visit(
            revision=str(client.protocol_version),
            tools=tuple(tool.name for tool in tools),
            before=await _call(client, "wallet"),
            answer=await _call(client, "chat", message=QUESTION, model=model, max_tokens=ANSWER_TOKENS),
            after=await _call(client, "wallet"),
        )


async def _call(client: Client, tool: str, **arguments: Any) -> Mapping[str, Any]:
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise TourStopped(f"The tool {tool} did not answer: {result.content}")
    content: Mapping[str, Any] = result.structured_content
    return content


def _stopped(url: str, failures: BaseExceptionGroup[Any]) -> TourStopped:
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, TourStopped):
        return first
    return TourStopped(f"The MCP server at {url} could not be used: {first}")


def _claude_line(url: str, key: Credential) -> str:
    header = f'"Authorization: Bearer ${key.variable}"'
    return f"claude mcp add --transport http cloudyard {shlex.quote(url)} --header {header}"


def _curl_line(url: str, key: Credential, model: str) -> str:
    """One call without a client, as the protocol has it on the wire."""
    arguments = {"message": QUESTION, "model": model, "max_tokens": ANSWER_TOKENS}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "chat", "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": REVISION}
    return curl_line("POST", url, credential=key, body=json.dumps(call), headers=headers)

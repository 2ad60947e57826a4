"""Ports that are free, taken, and wanted twice."""

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest
import uvloop

from cloudyard.entrypoints.listening import PortUnavailable, listen
from cloudyard.foundation.settings.server import ServerSettings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_servers_own_port_comes_first(unused_tcp_port: int) -> None:
    own, classic = listen(ServerSettings(port=0, classic_ports=True), {unused_tcp_port: "pynode"})
    with own, classic:
        assert classic.getsockname() == ("127.0.0.1", unused_tcp_port)
        assert own.getsockname()[1] != unused_tcp_port


def test_classic_ports_are_left_alone_unless_they_are_wanted(taken: int) -> None:
    (own,) = listen(ServerSettings(port=0), {taken: "pynode"})
    own.close()


def test_a_taken_port_of_its_own_can_be_another(taken: int) -> None:
    with pytest.raises(PortUnavailable, match=rf"127\.0\.0\.1:{taken}.*--port") as caught:
        listen(ServerSettings(port=taken), {})
    assert "classic" not in caught.value.message


def test_a_taken_classic_port_names_its_surface_and_cannot_be_another(taken: int, unused_tcp_port: int) -> None:
    with pytest.raises(PortUnavailable, match=rf"127\.0\.0\.1:{taken}.*the surface pynode.*--classic-ports") as caught:
        listen(ServerSettings(port=unused_tcp_port, classic_ports=True), {taken: "pynode"})
    assert "--port" not in caught.value.message


def test_one_port_cannot_be_both(unused_tcp_port: int) -> None:
    with pytest.raises(PortUnavailable, match=r"both.*the surface neurogrid.*--port, or leave --classic-ports out"):
        listen(ServerSettings(port=unused_tcp_port, classic_ports=True), {unused_tcp_port: "neurogrid"})


def test_a_program_that_the_server_starts_does_not_listen_on(unused_tcp_port: int) -> None:
    """Or whoever comes while the server drains would be taken in by nobody."""

    async def connect_after_a_child_was_started() -> None:
        (own,) = listen(ServerSettings(port=unused_tcp_port), {})
        own.listen()
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
        own.close()
        try:
            await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        finally:
            await child.communicate(b"\n")

    with pytest.raises(ConnectionRefusedError):
        uvloop.run(connect_after_a_child_was_started())

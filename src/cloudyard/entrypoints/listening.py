"""Opening the ports that the server listens on: its own, and where that is wanted the one that each document names."""

import socket
from collections.abc import Mapping, Sequence

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.settings.server import ServerSettings


class PortUnavailable(DomainError):
    """A port that the server is to listen on is taken, or may not be opened."""

    code = "port_unavailable"
    kind = ErrorKind.UNAVAILABLE


def listen(server: ServerSettings, classic: Mapping[int, str]) -> Sequence[socket.socket]:
    """Bound sockets, the one of `server.port` first. `classic` gives each document's own port its surface.

    Raises `PortUnavailable`; then none is left open.
    """
    wanted = {server.port: "Stop what listens there, or choose another with --port."}
    if server.classic_ports:
        _keep_apart(server.port, classic)
        wanted |= {port: _classic_advice(surface) for port, surface in classic.items()}
    bound: list[socket.socket] = []
    try:
        for port, advice in wanted.items():
            bound.append(_bound(server.host, port, advice))
    except PortUnavailable:
        for listener in bound:
            listener.close()
        raise
    return bound


def _classic_advice(surface: str) -> str:
    return (
        f"It is the classic port of the surface {surface}. Stop what listens there, or leave --classic-ports out: "
        f"{surface} is then found on the server's own port alone, below its prefix."
    )


def _keep_apart(port: int, classic: Mapping[int, str]) -> None:
    surface = classic.get(port)
    if surface is not None:
        raise PortUnavailable(
            f"Port {port} cannot be both the server's own and the classic port of the surface {surface}. "
            "Choose another with --port, or leave --classic-ports out."
        )


def _bound(host: str, port: int, advice: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortUnavailable(f"Cannot listen on {host}:{port} ({error.strerror}). {advice}") from error
    return listener

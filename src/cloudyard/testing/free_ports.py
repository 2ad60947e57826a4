"""TCP ports for programs that must be told theirs before they start."""

import socket
from contextlib import ExitStack


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at the moment."""
    return free_ports(1)[0]


def free_ports(number: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nothing listens on at the moment."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]

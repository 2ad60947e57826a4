"""Named points where a test may kill this process, to prove what survives.

Nothing happens unless `CLOUDYARD_CRASH_AT` names the point; then the process dies as by kill -9.
"""

import os
import signal

VARIABLE = "CLOUDYARD_CRASH_AT"
_NAMED = os.environ.get(VARIABLE)


def crash_point(name: str) -> None:
    """Die here if a test asked for it."""
    if name == _NAMED:
        os.kill(os.getpid(), signal.SIGKILL)

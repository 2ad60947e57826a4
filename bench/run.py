"""`script/bench NAME [--json FILE]`: runs one bench and writes its figures."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType, ModuleType

import gateway
import history
import ledger
import live
import memory
import streaming
import webhooks
from support.console import BenchError, say
from support.processes import working_directory
from support.report import Outcome, markdown, write

BENCHES: dict[str, ModuleType] = {
    "gateway": gateway,
    "streaming": streaming,
    "memory": memory,
    "ledger": ledger,
    "live": live,
    "history": history,
    "webhooks": webhooks,
}


def main() -> int:
    """Parse the command line, run, write; 0 when the bench came to its end."""
    arguments = _parser().parse_args()
    if arguments.bench == "list":
        print("\n".join(f"{name:10} {_summary(module)}" for name, module in BENCHES.items()))
        return 0
    signal.signal(signal.SIGTERM, _leave)
    try:
        outcome = _run(arguments)
    except BenchError as failed:
        print(f"script/bench {arguments.bench} stopped: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; every process that the bench started has ended", file=sys.stderr)
        return 130
    write(outcome, arguments.json)
    print(markdown(outcome))
    return 0


def _run(arguments: argparse.Namespace) -> Outcome:
    with working_directory(arguments.work_dir) as directory:
        say(f"{arguments.bench}: working in {directory}")
        outcome: Outcome = BENCHES[arguments.bench].run(directory, arguments)
        say("stopping what was started")
    return outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="script/bench", description="Side-by-side benches of Cloudyard.")
    benches = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    benches.add_parser("list", help="name the benches")
    for name, module in BENCHES.items():
        bench = benches.add_parser(name, help=_summary(module), description=module.__doc__)
        bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
        bench.add_argument("--work-dir", type=Path, metavar="DIR", help="a folder on the disk to measure (/var/tmp)")
        module.add_arguments(bench)
    return parser


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]


def _leave(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())

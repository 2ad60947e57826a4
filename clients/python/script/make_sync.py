#!/usr/bin/env python3
"""Make `smartaihub/_sync` from `smartaihub/_async`: the same code without waiting. Needs ruff.

script/make_sync.py          writes what has changed
script/make_sync.py --check  only says whether something would change
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src" / "smartaihub"
SOURCE, TARGET = FOLDER / "_async", FOLDER / "_sync"

WORDS = (
    (r"smartaihub\._async\b", "smartaihub._sync"),
    (r"\b_io\.asynchronous\b", "_io.synchronous"),
    (r"\bwebsockets\.asyncio\b", "websockets.sync"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\benter_async_context\b", "enter_context"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\ba(close|read|next)\b", r"\1"),
)
HEADER = '"""The client for threads, made from `_async` by `script/make_sync.py`: change it there."""\n'


def synchronous(name: str, source: str) -> str:
    """A file without waiting, in the form that the linter wants."""
    if name == "__init__.py":
        return HEADER
    for pattern, word in WORDS:
        source = re.sub(pattern, word, source)
    target = ["--stdin-filename", str(TARGET / name), "-"]
    tidied = _ruff(["check", "--fix", "--quiet", "--select", "I,F401", *target], source)
    return _ruff(["format", "--quiet", *target], tidied)


def _ruff(words: list[str], source: str) -> str:
    command = [sys.executable, "-m", "ruff", *words]
    done = subprocess.run(  # noqa: S603 - our own words
        command, input=source, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"make_sync: ruff failed: {done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Write or check every file."""
    made = {TARGET / file.name: synchronous(file.name, file.read_text()) for file in sorted(SOURCE.glob("*.py"))}
    stale = [file for file, text in made.items() if not file.exists() or file.read_text() != text]
    stale += [file for file in TARGET.glob("*.py") if file not in made]
    if "--check" in sys.argv[1:]:
        sys.exit("Run script/make_sync.py, it makes these differently:\n" + "\n".join(map(str, stale)) if stale else 0)
    for file in stale:
        if file in made:
            file.write_text(made[file])
        else:
            file.unlink()


if __name__ == "__main__":
    main()

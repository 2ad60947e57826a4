"""Commands that are imported when they are called, so that help and other commands need not wait for them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class LazyCommand(TyperCommand):
    """Stands for a command in a list of commands; the command itself is the `app` of a module."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which takes over from here."""
        command = get_command(import_module(self._module).app)
        return command.make_context(info_name, args, parent=parent, **extra)


def lazy_group(package: str, summaries: Mapping[str, str]) -> type[TyperGroup]:
    """A group of commands: each a module of `package`, listed with its summary."""

    class LazyGroup(TyperGroup):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            for name, summary in summaries.items():
                self.add_command(LazyCommand(name, f"{package}.{name}", summary))

    return LazyGroup

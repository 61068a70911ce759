"""A group of sub-commands of which only the one that is asked for is imported: pandas alone takes a second."""

import importlib
from collections.abc import Mapping
from typing import Any

import typer.core
import typer.main


def lazy_group(package: str, modules: Mapping[str, str]) -> type[typer.core.TyperGroup]:
    """Return the class of a group whose commands are the Typer apps (`app`) of a package's modules.

    Parameters
    ----------
    package : str
        Where the modules lie.
    modules : mapping of str to str
        The module of each command, in the order in which the help lists them.
    """

    class _LazyGroup(typer.core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's interface
            return list(modules)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
            if cmd_name not in modules:
                return None
            command = typer.main.get_command(importlib.import_module(f"{package}.{modules[cmd_name]}").app)
            command.name = cmd_name
            return command

    return _LazyGroup

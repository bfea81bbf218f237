"""Commands that are imported when somebody asks for them: no command waits for what others need."""

from collections.abc import Iterator, Mapping
from importlib import import_module

import click


class Commands(Mapping[str, click.Command]):
    """The commands of a group, by name: each a module of `package` and what it is called there."""

    def __init__(self, package: str, places: Mapping[str, str]) -> None:
        """`places`: `module:attribute` for each name."""
        self._package, self._places = package, places

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].partition(":")
        command = getattr(import_module(f"{self._package}.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

"""docs/reference/settings.md, from v6srv/settings: keys, types, defaults, docstrings."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from v6srv.settings import ENVIRONMENTS, Settings, sources

_HEAD = """# Settings

Generated from `v6srv/settings` by `make docs`; do not edit.

A configuration file is YAML in the format of the 3.x server. It holds the keys below, either at its top, or once for each
environment: below `application`, or below one of {environments} in `environments`. Nothing is inherited between environments.
`v6srv new` writes one, `v6srv config check FILE` says what is wrong with one.

Every key can also be set by an environment variable, which wins over the file. An empty variable, or a key without a value, is one that
is not set. All keys have a default or can be left out, unless it says *needed*. Unknown keys and variables are refused. Flags are
`true` or `false`.
"""

_WHERE = {
    "V6SRV_CONFIG": "the configuration file, as the option `--config`",
    "V6SRV_ENVIRONMENT": "which of its environments, as the option `--environment`. Unset: the only one there, else `prod`,"
    " else `application`",
    "V6SRV_INSTANCE": "the folder of database, secrets, policies in use and logs. Unset: `instance` in the working folder",
    "VANTAGE6_CONFIG_NAME": "the name of the instance, instead of that of its configuration file",
}

_TYPES = {
    bool: "flag",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Any: "anything",
}
_BOUNDS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}


def text() -> str:
    """The whole page."""
    environments = ", ".join(f"`{name}`" for name in ENVIRONMENTS[1:])
    parts = [_HEAD.format(environments=environments).strip(), _where()]
    parts.append("\n".join(["## Keys", "", *_table(Settings, (), _top())]))
    for path, group, info in _groups(Settings, ()):
        about, listed = _about(group), info.default == ()
        table = _table(group, path, group.model_fields, listed)
        parts.append("\n".join([f"## {'.'.join(path)}", "", about, "", *table]))
    return "\n\n".join(parts) + "\n"


def _where() -> str:
    unsaid = set(sources._ELSEWHERE) - set(_WHERE)
    assert not unsaid, f"say in tools/settings_reference.py what {unsaid} means"
    lines = ["## Where to look", "", "| variable | what it is |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {about} |" for name, about in _WHERE.items())])


def _top() -> Mapping[str, FieldInfo]:
    hidden = sources._NOT_IN_FILES
    return {key: info for key, info in Settings.model_fields.items() if key not in hidden}


def _groups(
    model: type[BaseModel], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, FieldInfo]]:
    """Every group of keys, with where it is."""
    for key, info in model.model_fields.items():
        group = sources._group(info.annotation)
        if group:
            yield (*path, key), group, info
            yield from _groups(group, (*path, key))


def _about(group: type[BaseModel]) -> str:
    about = inspect.getdoc(group)
    assert about, f"{group.__name__} has no docstring"
    return about.replace("\n", " ")


def _table(
    model: type[BaseModel],
    path: tuple[str, ...],
    fields: Mapping[str, FieldInfo],
    listed: bool = False,
) -> Iterator[str]:
    meanings = _docstrings(model)
    yield "| key | type | default | variable | meaning |"
    yield "|---|---|---|---|---|"
    for key, info in fields.items():
        if sources._group(info.annotation):
            anchor = "".join((*path, key))  # as GitHub makes it of a title with points
            yield f"| [`{key}`](#{anchor}) | {'list' if info.default == () else 'group'} | | | |"
            continue
        assert key in meanings, f"{model.__name__}.{key} has no docstring"
        variables = "" if listed else _variables(*path, key)
        cells = (f"`{key}`", _type(info), _default(info), variables, meanings[key])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The texts below the attributes of a class, each in one line."""
    [definition] = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, after in zip(definition.body, definition.body[1:], strict=False):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(said))
            ):
                found[name] = " ".join(said.split())
    return found


def _type(info: FieldInfo) -> str:
    bounds = (
        wording.format(getattr(rule, name))
        for rule in info.metadata
        for name, wording in _BOUNDS.items()
        if hasattr(rule, name)
    )
    return ", ".join([_type_name(info.annotation), *bounds])


def _type_name(annotation: Any) -> str:
    if annotation in _TYPES:
        return _TYPES[annotation]
    if annotation is SecretStr:
        return "text, secret"
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list"
    kinds = [_type_name(part) for part in get_args(annotation) if part is not type(None)]
    assert kinds, f"what is {annotation} for people?"
    return " or ".join(kinds)


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined:
        return "*needed*"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ", ".join(value)
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _variables(*path: str) -> str:
    names = [sources.PREFIX + "__".join(path).upper()]
    names += [variable for variable, target in sources._ALIASES.items() if target == path]
    return ", ".join(f"`{name}`" for name in names)

"""Notes which public methods of the unmodified clients are called. For scripts in their environments."""

import functools
from typing import Any

called: set[str] = set()
existing: set[str] = set()


def record(client: Any, name: str, part_of: type) -> None:
    """Note every call of a public method of the client and its sub-clients, which are `part_of`."""
    parts = {name: client}
    for part, value in vars(client).items():
        if isinstance(value, part_of):
            parts[f"{name}.{part}"] = value
    for prefix, part in parts.items():
        for method in dir(type(part)):
            function = getattr(type(part), method)
            if method.startswith("_") or not callable(function) or isinstance(function, type):
                continue
            existing.add(f"{prefix}.{method}")
            setattr(part, method, _noting(getattr(part, method), f"{prefix}.{method}"))


def _noting(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        called.add(name)
        return function(*args, **kwargs)

    return noting

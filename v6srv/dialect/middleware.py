"""Before any route is looked for: which dialect a request speaks, and where that is mounted."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from v6srv.dialect import asked, resolve

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

ASKED_PATH = "v6srv.asked_path"
"""The key of the path as it was asked for."""


class Dialects:
    """WSGI: rewrites the path to the mount of its dialect.

    `names` are base paths, and host names for requests at a path that is for both; the value is a
    dialect, or None for what has to be found out. `mounts` says where each dialect is.
    """

    def __init__(
        self, app: Application, names: Mapping[str, int | None], mounts: Mapping[int, str]
    ) -> None:
        self._app = app
        longest_first = sorted(names, key=len, reverse=True)
        self._paths = {name: names[name] for name in longest_first if name.startswith("/")}
        self._hosts = {name: one for name, one in names.items() if not name.startswith("/")}
        self._mounts = mounts
        self._resolver = resolve.Resolver()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve."""
        path = environ.get("PATH_INFO", "")
        for base in self._paths:
            if path.startswith(base) and path[len(base) : len(base) + 1] in ("", "/"):
                break
        else:
            return self._app(environ, start_response)
        dialect, below = self._paths[base], path[len(base) :]
        if dialect is None:
            dialect = self._hosts.get(environ.get("HTTP_HOST", "").partition(":")[0].lower())
        if dialect is None:
            dialect = self._resolver.dialect_of(environ, below)
        environ[ASKED_PATH] = path
        environ["PATH_INFO"] = self._mounts[dialect] + below
        with asked.using(asked.Asked(dialect, base)):
            return self._app(environ, start_response)

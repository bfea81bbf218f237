"""The configuration of a node, as its program reads it: a file to download (docs/nodes.md)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from v6srv.vocabulary import V3, V4

_DEFAULT_PORT = {"http": 80, "https": 443}
_LOGGING = {
    "level": "INFO",
    "file": "node.log",
    "use_console": True,
    "backup_count": 5,
    "max_size": 1024,
    "format": "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s",
    "datefmt": "%Y-%m-%d %H:%M:%S",
}
_HINT = (
    "# Where the data are, and the private key of the organization if the collaboration is"
    " encrypted,\n# only the data station knows: see databases, task_dir and encryption.\n"
    "# Whoever has the api_key can act as this node: keep this file to yourself.\n"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server knows of a node that is to be set up."""

    api_key: str
    encrypted: bool
    server_url: str
    """Scheme, host and port, as the reader of the page has found this server."""
    base: str
    """The base path for its generation."""


def text(generation: int, known: Settings) -> str:
    """The file for a program of that generation."""
    url = urlsplit(known.server_url)
    data = "/data/registry.csv"
    keys: dict[str, Any] = {
        "api_key": known.api_key,
        "server_url": f"{url.scheme}://{url.hostname}",
        "port": url.port or _DEFAULT_PORT[url.scheme],
        "api_path": known.base,
        "task_dir": "/var/lib/vantage6/tasks",
        "databases": {
            V3: {"default": data},
            V4: [{"label": "default", "type": "csv", "uri": data}],
        }[generation],
        "encryption": {
            "enabled": known.encrypted,
            "private_key": "/etc/vantage6/private_key.pem" if known.encrypted else None,
        },
        "logging": _LOGGING,
    }
    whole = {"application": keys} if generation == V3 else keys
    return _HINT + yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)

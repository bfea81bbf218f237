"""What an installation needs beside its database, and the server itself."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

from v6srv.cli.doctor import data, findings
from v6srv.cli.doctor.findings import Finding, Kind
from v6srv.cli.health import ask
from v6srv.identity import provider
from v6srv.service import connections
from v6srv.settings import Settings

_KINDS: dict[str, Kind] = {
    "rabbitmq_uri": findings.QUEUE,
    "rate_limit_uri": findings.COUNTER,
    "smtp": findings.MAIL,
    "oidc": findings.PROVIDER,
}
"""By the setting that names it. Of the database more is said, by `data`."""


def _others(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    for line in (*connections.failures(settings), *provider.failures(settings)):
        kind = _KINDS.get(line.partition(":")[0])
        if kind is not None:
            yield Finding(kind, line)


def _server(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    expected = any(True for _ in data.processes(settings))
    where = f"{settings.ip}:{settings.port}"
    try:
        _, said = ask(settings, "health")
        problems = json.loads(said).get("problems", [])
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        if expected:
            text = f"the database knows processes, and none answers at {where}: {error}"
            yield Finding(findings.SILENT, text)
        else:
            yield Finding(findings.STOPPED, f"no server answers at {where}")
        return
    for problem in problems:
        yield Finding(findings.PROBLEM, str(problem))


LOOKS = (_others, _server)

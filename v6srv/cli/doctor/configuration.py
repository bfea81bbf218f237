"""Settings that contradict each other or are not safe, and secrets that are none."""

import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from v6srv.cli.configuration import useless
from v6srv.cli.doctor import findings
from v6srv.cli.doctor.findings import Finding
from v6srv.db import sqlite_file
from v6srv.settings import Settings, SettingsError, kept_key

_FEW_LETTERS = 10
"""So many different ones has each key that was made by chance."""


def _values(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    replaced = set(settings.replaced)
    for line in useless(settings):
        kind = findings.NOT_USED if line in replaced else findings.NO_POLICIES
        yield Finding(kind, line)
    for line in settings.remarks:
        if line not in replaced:
            yield Finding(findings.REMARK, line)
    if settings.allow_drop_all:
        text = "v6srv import --drop-all may delete everything"
        yield Finding(findings.DROP_ALL, text)


def _addresses(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    if not _is_here(settings.ip):
        if settings.trusted_proxies:
            text = f"port {settings.port} is open to others than the proxy ({settings.ip})"
            yield Finding(findings.AROUND, text)
        else:
            text = f"passwords and tokens are sent in clear to {settings.ip}:{settings.port}"
            yield Finding(findings.OPEN, text)
        if settings.metrics:
            text = "whoever reaches the server reads how its counters move"
            yield Finding(findings.METRICS, text)
    smtp = settings.smtp
    if "smtp" not in settings.model_fields_set:
        yield Finding(findings.NO_MAIL, "no mail server is set")
    elif not (smtp.MAIL_USE_TLS or smtp.MAIL_USE_SSL or _is_here(smtp.server)):
        text = f"mails, with tokens that set passwords, go in clear to {smtp.server}"
        yield Finding(findings.CLEAR_MAIL, text)
    queue = urlsplit(settings.message_queue or "")
    if queue.scheme in ("redis", "amqp") and not _is_here(queue.hostname or ""):
        yield Finding(findings.CLEAR_QUEUE, f"events go in clear to {queue.hostname}")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _secrets(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    key, database = settings.instance / "jwt_secret", sqlite_file(settings.uri)
    for file in (settings.config_file, key, database):
        if file is not None and file.exists():
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                text = f"others may read or change {file} (mode {mode:04o})"
                yield Finding(findings.READABLE, text)
    try:
        signing = kept_key(settings)
    except SettingsError as error:
        yield from (Finding(findings.KEY, line) for line in error.problems)
        return
    if signing is not None and len(set(signing)) < _FEW_LETTERS:
        text = f"the key that signs tokens has {len(set(signing))} different characters"
        yield Finding(findings.WEAK, text)


LOOKS = (_values, _addresses, _secrets)

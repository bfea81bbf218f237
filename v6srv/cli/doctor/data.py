"""The database, its backups, the policy, and the processes that the database knows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from v6srv import migrations, passwords
from v6srv.authz.source.codes import Severity
from v6srv.authz.source.folder import read_texts, shipped_texts
from v6srv.authz.source.live import Files
from v6srv.authz.source.load import lines_in
from v6srv.authz.source.problems import PolicyError
from v6srv.cli.doctor import findings
from v6srv.cli.doctor.findings import Finding
from v6srv.cli.policy.lint import find
from v6srv.db import database_now, make_engine, sqlite_file, utcnow
from v6srv.errors import V6srvError
from v6srv.identity import totp
from v6srv.model import User
from v6srv.service import agreement, connections, restore, setup
from v6srv.service.clock_jumps import APART_S
from v6srv.settings import Settings, SettingsError, kept_key

_DAY_S = 24 * 3600
_OLD_DAYS = 2


@contextmanager
def _usable(settings: Settings) -> Iterator[Connection | None]:
    """A connection to the database; None unless it answers and has the tables of this release."""
    file = sqlite_file(settings.uri)
    engine = make_engine(settings.uri)
    try:
        if file is not None and not file.exists():
            yield None
            return
        try:
            connection = engine.connect()
            good = migrations.current(settings.uri) == migrations.head()
        except (SQLAlchemyError, V6srvError):
            yield None
            return
        with connection:
            yield connection if good else None
    finally:
        engine.dispose()


def processes(settings: Settings) -> Sequence[Any]:
    """Those that the database knows now; none where it cannot be asked."""
    with _usable(settings) as connection:
        return agreement.present(connection) if connection else ()


def _database(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    file = sqlite_file(settings.uri)
    if file is not None and not file.exists():
        yield Finding(findings.MISSING, f"there is no database at {file} yet")
        return
    silent = list(connections.database(settings.uri))
    if silent:
        yield from (Finding(findings.DATABASE, line) for line in silent)
        return
    try:
        at = migrations.current(settings.uri)
    except V6srvError as error:
        yield Finding(findings.FOREIGN, str(error))
        return
    if at != migrations.head():
        text = f"its schema is at {at}, this release needs {migrations.head()}"
        yield Finding(findings.BEHIND, text)


def _clock(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    with _usable(settings) as connection:
        if connection is None:
            return
        theirs = connection.scalar(select(database_now()))
        assert theirs is not None
        apart_s = (utcnow() - theirs).total_seconds()
        if abs(apart_s) > APART_S:
            text = f"the clock here is {apart_s:+.0f} seconds from that of the database"
            yield Finding(findings.CLOCK, text)


def _accounts(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    with _usable(settings) as connection:
        if connection is None:
            return
        chosen = settings.root_password
        query = select(User.__table__.c.password).where(User.__table__.c.username == setup.ROOT)
        stored = connection.scalar(query)
        if chosen and stored and passwords.check_password(chosen.get_secret_value(), stored):
            text = "root still has the password that the settings name"
            yield Finding(findings.ROOT, text)
        try:
            key = kept_key(settings)
        except SettingsError:
            return
        column = User.__table__.c.otp_secret
        factors = connection.scalars(select(column).where(column.is_not(None))).all()
        keys = [one for one in (key, *settings.jwt_previous_keys) if one]
        lost = totp.count_unreadable(keys, factors)
        if lost:
            text = f"{lost} second factors are encrypted with a key that is not known here"
            yield Finding(findings.FACTORS, text)


def _backups(settings: Settings, backup: Path | None) -> Iterator[Finding]:
    if backup is None:
        yield Finding(findings.NO_BACKUP, "it is not known here when the last backup was made")
        return
    files = [backup] if backup.is_file() else [one for one in backup.iterdir() if one.is_file()]
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        yield Finding(findings.OLD_BACKUP, f"there is no backup in {backup}")
        return
    days = (time.time() - newest.stat().st_mtime) / _DAY_S
    if days > _OLD_DAYS:
        yield Finding(findings.OLD_BACKUP, f"the newest backup, {newest}, is {days:.0f} days old")
    try:
        restore.examine(newest)
    except V6srvError as error:
        yield Finding(findings.BAD_BACKUP, str(error))


def _policy(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    folder = settings.policies
    if not folder.is_dir():
        return
    for file in (folder, *folder.rglob("*")):
        if file.stat().st_mode & 0o002:
            yield Finding(findings.WRITABLE, f"others may change {file}")
    with _usable(settings) as connection:
        uri = settings.uri if connection else None
    found = find(folder, uri)
    for problem in found:
        if problem.is_error:
            place = f"{problem.origin}: {problem.code}: {problem.message}"
            yield Finding(findings.POLICY, place)
    doubtful = sum(problem.code.severity is Severity.WARNING for problem in found)
    if doubtful:
        yield Finding(findings.DOUBTFUL, f"places where it hardly does what it says: {doubtful}")
    yield from _compared(folder)


def _compared(folder: Path) -> Iterator[Finding]:
    lines, _ = lines_in(read_texts(folder)[0])
    shipped, _ = lines_in(shipped_texts())
    for what, texts in setup.missing_of_release(lines).items():
        if texts:
            text = f"{len(texts)} {what} of this release are missing: {'; '.join(texts)}"
            yield Finding(findings.LACKING, text)
    here, there = ({(line.ptype, line.values) for line in one} for one in (lines, shipped))
    if here != there:
        text = (
            f"{len(there - here)} lines of this release are not in it, {len(here - there)} others"
        )
        yield Finding(findings.DIFFERENT, text)


def _processes(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    there = processes(settings)
    if len(there) > 1 and not settings.message_queue:
        text = f"{len(there)} processes serve this database, and no message queue is set"
        yield Finding(findings.NO_QUEUE, text)
    try:
        known = agreement.fingerprints([kept_key(settings) or "", *settings.jwt_previous_keys])
    except SettingsError:
        return
    if {one.key_digest for one in there} - known:
        yield Finding(findings.OTHER_KEY, "a process signs with a key that is not known here")
    digests = {one.policy_digest for one in there}
    if there and settings.policies.is_dir():
        with suppress(PolicyError):  # said above
            digests.add(Files.read(settings.policies).digest)
    if len(digests) > 1:
        yield Finding(findings.OTHER_POLICY, "a process decides by other policy files than these")


LOOKS = (_database, _clock, _accounts, _backups, _policy, _processes)

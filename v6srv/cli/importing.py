"""`import`: put a file of organizations, users and collaborations into the database."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error, info, readable_errors, warn

if TYPE_CHECKING:
    from v6srv.service.import_file import Document
    from v6srv.service.importer import Summary
    from v6srv.settings import Settings

LONG = 50
"""Entities from which on a progress bar is shown."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@selected
@click.option("--drop-all", is_flag=True, help="First delete everything that is stored.")
def import_(
    file: Path,
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    drop_all: bool,
) -> None:
    """Import FILE (YAML). What exists already stays as it is; all or nothing is written.

    A user whose `roles` FILE does not name gets the role super of the organization, which holds
    every rule there is, as from a 3.x server: write `roles: [Researcher]` to give less.
    """
    from v6srv.cli.serving import prepare
    from v6srv.service import import_file

    with readable_errors():
        settings = choose(name, config, environment, system)
        logs.configure(settings)
        if drop_all and not settings.allow_drop_all:
            error("Dropping everything is not allowed: the setting allow_drop_all is false")
            raise SystemExit(1)
        info("Reading yaml file.")
        document = import_file.load(file)
        if drop_all:
            _drop_all(document, settings)
        prepare(settings)
        info("Adding entities to database.")
        summary = _add(document, settings)
        for existing in summary.existing:
            info(f"exists already: {existing}")
        for warning in summary.warnings:
            warn(warning)
        added = ", ".join(f"{count} x {kind}" for kind, count in summary.added.items())
        info(f"added: {added or 'nothing'}")


def _drop_all(document: "Document", settings: "Settings") -> None:
    """Whatever would stop the import later must stop it before the data is gone."""
    from v6srv import migrations
    from v6srv.authz.source.load import build
    from v6srv.service import importer, setup

    importer.require_complete(document, settings.root_email)
    setup.install_policies(settings.policies)
    build(settings.policies)
    info("Dropping everything that is stored.")
    migrations.drop_all(settings.uri)


def _add(document: "Document", settings: "Settings") -> "Summary":
    from rich.progress import Progress

    from v6srv import db, passwords
    from v6srv.service import importer

    engine = db.connect(settings.uri)
    try:
        with Progress(disable=document.size < LONG, transient=True) as bar:
            job = bar.add_task("importing", total=None)
            return importer.run(
                document,
                passwords,
                lambda done, total: bar.update(job, completed=done, total=total),
            )
    finally:
        db.session.remove()
        engine.dispose()

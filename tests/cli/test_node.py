"""`node list`: all nodes, whether they are there, and the generation of their programs."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from v6srv.cli.main import cli
from v6srv.db import session
from v6srv.model import Node


@pytest.fixture
def listed(app, world):
    """`listed("--format", "json")`: what the command says."""
    settings = app.config["SETTINGS"]
    engine = session.get_bind()
    environment = {
        "V6SRV_DATABASE_URL": settings.uri,
        "V6SRV_INSTANCE": str(settings.instance),
        "COLUMNS": "160",
    }

    def run(*arguments):
        done = CliRunner(env=environment).invoke(cli, ["node", "list", *arguments])
        session.remove()
        session.configure(bind=engine)  # the command has one of its own
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.mark.parametrize(("generation", "shown"), [(4, "4.x"), (3, "3.x"), (None, "not seen yet")])
def test_each_node_with_its_generation(listed, world, generation, shown):
    session.execute(
        update(Node).where(Node.id == world.node.north_registry).values(generation=generation),
        execution_options={"synchronize_session": False},
    )
    session.commit()
    nodes = {one["id"]: one for one in json.loads(listed("--format", "json"))}
    assert len(nodes) == len(vars(world.node))
    assert nodes[world.node.north_registry]["generation"] == generation
    assert set(nodes[world.node.north_registry]) >= {"organization", "collaboration", "status"}
    [line] = [line for line in listed().splitlines() if "north_registry" in line]
    assert shown in line


def test_names_are_text_and_no_markup(listed, world):
    name = "[red]north[/red]"
    session.execute(
        update(Node).where(Node.id == world.node.north_registry).values(name=name),
        execution_options={"synchronize_session": False},
    )
    session.commit()
    assert name in listed()

"""Migrations lead to the tables of the models, in both directions, and once per database."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, make_url, text

from tests.forked import together
from v6srv import migrations
from v6srv.db import Base, make_engine
from v6srv.errors import Invalid


def _tables(uri: str) -> set[str]:
    engine = create_engine(uri)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_up_down_and_up_again(database_uri: str) -> None:
    """`base` is a database without tables; `head` has those of the models."""
    assert migrations.current(database_uri) is None
    for _ in range(2):
        migrations.upgrade(database_uri)
        assert migrations.current(database_uri) == migrations.head()
        assert _tables(database_uri) == {*Base.metadata.tables, "alembic_version"}
        migrations.downgrade(database_uri, "base")
        assert migrations.current(database_uri) is None
        assert _tables(database_uri) == {"alembic_version"}


def test_models_and_migrations_agree(database_uri: str) -> None:
    """Nobody has changed a model without a revision."""
    migrations.upgrade(database_uri)
    assert migrations.differences(database_uri) == []


def test_a_difference_is_seen(database_uri: str) -> None:
    """The comparison is no comparison with itself."""
    migrations.upgrade(database_uri)
    engine = make_engine(database_uri)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_task_run_id"))
        connection.execute(text("ALTER TABLE organization ADD COLUMN motto TEXT"))
        connection.execute(text("CREATE TABLE of_somebody_else (id INTEGER)"))
    engine.dispose()
    kinds = {change[0] for change in migrations.differences(database_uri)}
    assert kinds == {"add_index", "remove_column"}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_sqlite_says_the_same_word_for_word(database_uri: str, tmp_path: Path) -> None:
    """AUTOINCREMENT, cascades and constraint names are beyond the comparison of alembic."""
    migrations.upgrade(database_uri)
    by_models = make_engine(f"sqlite:///{tmp_path}/models.sqlite")
    Base.metadata.create_all(by_models)
    by_models.dispose()
    expected = _sqlite_schema(tmp_path / "models.sqlite")
    found = _sqlite_schema(Path(make_url(database_uri).database or ""))
    assert found.pop("alembic_version")
    found.pop("sqlite_autoindex_alembic_version_1", None)
    assert found == expected
    assert sum("AUTOINCREMENT" in str(sql) for sql in found.values()) > 10


def _sqlite_schema(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")
        return {
            name: sorted(_plain(sql).removesuffix(")").split(", CONSTRAINT "))
            for name, sql in rows
            if not name.startswith("sqlite_")
        }


def _plain(sql: str) -> str:
    """Without the blanks and quotes that differ when a table was changed or made anew."""
    return " ".join(sql.split()).replace(" ,", ",").replace(" )", ")").replace('"', "")


def test_many_at_once_migrate_once(database_uri: str) -> None:
    """Processes that start together wait for each other."""
    prepare = "import alembic.command\nfrom v6srv import migrations"
    together(prepare, "migrations.upgrade(sys.argv[1])", database_uri)
    assert migrations.current(database_uri) == migrations.head()
    assert migrations.differences(database_uri) == []


def test_a_failed_migration_leaves_nothing(database_uri: str) -> None:
    """A revision is applied whole or not at all, on SQLite too."""
    engine = make_engine(database_uri)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE result (id INTEGER)"))
    engine.dispose()
    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(database_uri)
    assert _tables(database_uri) == {"result"}


def test_drop_all_leaves_tables_of_others(database_uri: str) -> None:
    """Afterwards the database can be migrated again."""
    migrations.upgrade(database_uri)
    engine = make_engine(database_uri)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_somebody_else (id INTEGER)"))
    engine.dispose()
    migrations.drop_all(database_uri)
    assert _tables(database_uri) == {"of_somebody_else"}
    migrations.drop_all(database_uri)
    migrations.upgrade(database_uri)
    assert migrations.current(database_uri) == migrations.head()


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("9999", f"revision 9999, and this release knows no further than {migrations.head()}"),
        ("ae1027a6acf", "'ae1027a6acf', which is of no release of this server"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        migrations.upgrade,
        migrations.current,
        migrations.require_current,
        migrations.drop_all,
        lambda uri: migrations.downgrade(uri, "base"),
    ],
    ids=["upgrade", "current", "require_current", "drop_all", "downgrade"],
)
def test_a_database_of_a_newer_server_is_refused(
    database_uri: str, revision: str, said: str, use: Callable[[str], object]
) -> None:
    """It is not touched."""
    migrations.upgrade(database_uri)
    _pretend(database_uri, revision)
    before = _tables(database_uri)
    with pytest.raises(Invalid, match=said):
        use(database_uri)
    assert _tables(database_uri) == before
    with make_engine(database_uri).connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == revision


def _pretend(uri: str, revision: str) -> None:
    """The database says that it is at this revision."""
    engine = make_engine(uri)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
    engine.dispose()


def test_an_upgrade_says_what_it_does(database_uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each step, and nothing when there is nothing to do."""
    caplog.set_level("INFO", logger="v6srv.migrations")

    def said() -> list[str]:
        lines = [
            record.getMessage() for record in caplog.records if record.name == "v6srv.migrations"
        ]
        caplog.clear()
        return lines

    migrations.upgrade(database_uri)
    fresh = said()
    assert fresh[0] == "The schema went from revision none to 0001: The first tables."
    assert len(fresh) == len(migrations.revisions())  # nobody needs a backup of nothing
    migrations.upgrade(database_uri)
    assert said() == []
    migrations.downgrade(database_uri, "0001")
    caplog.clear()
    migrations.upgrade(database_uri)
    assert said() == [
        *fresh[1:],
        "The way back is a backup that was made before this (v6srv backup)",
    ]


def test_accounts_that_differ_by_case_only_stop_no_upgrade(database_uri: str) -> None:
    """They are all there after it, and after the way back."""
    migrations.upgrade(database_uri)
    migrations.downgrade(database_uri, "0005")
    engine = make_engine(database_uri)
    names = ["nora", "NORA", " Nora "]
    with engine.begin() as connection:
        for number, name in enumerate(names, 1):
            values = {"id": number, "name": name}
            account = "INSERT INTO authenticatable (id, type) VALUES (:id, 'user')"
            connection.execute(text(account), values)
            user = 'INSERT INTO "user" (id, username, email) VALUES (:id, :name, :name)'
            connection.execute(text(user), values)
    for move in (migrations.upgrade, lambda uri: migrations.downgrade(uri, "0005")):
        move(database_uri)
        with engine.connect() as connection:
            stored = connection.execute(text('SELECT username, email FROM "user" ORDER BY id'))
            assert [tuple(row) for row in stored] == [(name, name) for name in names]
    engine.dispose()


def test_databases_of_tasks_get_rows_of_their_own(database_uri: str) -> None:
    """The text of 3.x stays, on the way back too; what refers to tasks and nodes is not lost."""
    migrations.upgrade(database_uri)
    migrations.downgrade(database_uri, "0010")
    engine = make_engine(database_uri)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO collaboration (id, name) VALUES (1, 'registry')",
            "INSERT INTO authenticatable (id, type) VALUES (1, 'node')",
            "INSERT INTO node (id, name, collaboration_id) VALUES (1, 'north', 1)",
            "INSERT INTO nodeconfig (id, node_id, key, value) VALUES (1, 1, 'allowed_orgs', '1')",
            'INSERT INTO task (id, "database", collaboration_id)'
            " VALUES (1, 'default', 1), (2, '', 1), (3, NULL, 1), (4, 'O''Hara, {}', 1)",
            "INSERT INTO result (id, task_id) VALUES (1, 1), (2, 4)",
        ):
            connection.execute(text(statement))
    texts = ["default", "", None, "O'Hara, {}"]
    for move in (migrations.upgrade, lambda uri: migrations.downgrade(uri, "0010")):
        move(database_uri)
        with engine.connect() as connection:
            assert [*connection.scalars(text('SELECT "database" FROM task ORDER BY id'))] == texts
            assert [*connection.scalars(text("SELECT task_id FROM result ORDER BY id"))] == [1, 4]
            assert connection.scalar(text("SELECT node_id FROM nodeconfig")) == 1
        if migrations.current(database_uri) != "0010":
            _has_rows_of_databases(engine)
    migrations.upgrade(database_uri)  # the rows that it made before are no hindrance
    _has_rows_of_databases(engine)
    engine.dispose()


def _has_rows_of_databases(engine: Engine) -> None:
    columns = "task_id, position, label, parameters"
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM task_database ORDER BY task_id"))
        assert [tuple(row) for row in rows] == [
            (1, 0, "default", "{}"),
            (4, 0, "O'Hara, {}", "{}"),
        ]
        made_by = connection.scalars(text("SELECT DISTINCT dialect FROM task"))
        assert [*made_by] == [3]
        assert connection.scalar(text("SELECT generation FROM node")) is None


def test_results_get_the_collaboration_of_their_task(database_uri: str) -> None:
    """None without a task, or of a task without; nothing of them is lost, on the way back too."""
    migrations.upgrade(database_uri)
    migrations.downgrade(database_uri, "0012")
    engine = make_engine(database_uri)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO collaboration (id, name) VALUES (1, 'registry'), (2, 'trial')",
            "INSERT INTO task (id, collaboration_id) VALUES (1, 1), (2, 2), (3, NULL)",
            "INSERT INTO result (id, task_id, input, log)"
            " VALUES (1, 1, 'in', 'said'), (2, 2, 'in', 'said'), (3, 3, 'in', 'said'),"
            " (4, NULL, 'in', 'said'), (7, 1, 'in', 'said')",
            "INSERT INTO algorithmport (id, result_id) VALUES (1, 1), (2, 7)",
        ):
            connection.execute(text(statement))
    for _ in range(2):
        migrations.upgrade(database_uri)
        with engine.connect() as connection:
            found = connection.scalars(text("SELECT collaboration_id FROM result ORDER BY id"))
            assert [*found] == [1, 2, None, None, 1]
        migrations.downgrade(database_uri, "0012")
        with engine.connect() as connection:
            rows = connection.execute(
                text("SELECT id, task_id, input, log FROM result ORDER BY id")
            )
            tasks = {1: 1, 2: 2, 3: 3, 4: None, 7: 1}
            assert [*map(tuple, rows)] == [(*pair, "in", "said") for pair in tasks.items()]
            ports = connection.scalars(text("SELECT result_id FROM algorithmport ORDER BY id"))
            assert [*ports] == [1, 7]
    engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_rows_that_point_nowhere_are_found(database_uri: str) -> None:
    """SQLite's foreign keys are off while tables change, so they are checked at the end."""
    migrations.upgrade(database_uri)
    with closing(sqlite3.connect(make_url(database_uri).database or "")) as connection, connection:
        connection.execute("INSERT INTO role (name, organization_id) VALUES ('lost', 99)")
    with pytest.raises(Invalid, match="role"):
        migrations.upgrade(database_uri)


def test_memory_cannot_be_migrated() -> None:
    with pytest.raises(Invalid):
        migrations.upgrade("sqlite://")


def test_a_draft_holds_what_is_missing(tmp_path: Path) -> None:
    """`draft` writes a revision that can be read, with plain types."""
    uri = f"sqlite:///{tmp_path}/draft.sqlite"
    migrations.upgrade(uri)
    with closing(sqlite3.connect(tmp_path / "draft.sqlite")) as connection, connection:
        connection.execute("DROP INDEX ix_task_run_id")
        connection.execute("ALTER TABLE result DROP COLUMN started_at")
    written = migrations.draft(uri, "bring it back", tmp_path).read_text()
    assert "sa.DateTime()" in written
    assert "ix_task_run_id" in written
    assert "v6srv" not in written


def test_revisions_stand_alone() -> None:
    """A revision must work the same when the models have long changed."""
    for path in migrations.VERSIONS.glob("*.py"):
        assert "v6srv" not in path.read_text(), path


def test_the_revisions_are_those_that_alembic_knows() -> None:
    """They are told by the names of their files, without alembic."""
    scripts = ScriptDirectory(str(migrations.VERSIONS.parent)).walk_revisions()
    assert migrations.revisions() == sorted(script.revision for script in scripts)

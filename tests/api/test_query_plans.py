"""Pages of the two large tables are found by an index, whatever else the policy asks of a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.support import Caller
from v6srv import db

LARGE = {"/task": "task", "/result": "result"}
Sent = tuple[str, Any]


@contextmanager
def _sending() -> Iterator[list[Sent]]:
    sent: list[Sent] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    engine = db.session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _plan(statement: str, parameters: Any) -> str:
    connection = db.session.connection()
    explain = "EXPLAIN "
    if connection.dialect.name == "sqlite":
        explain += "QUERY PLAN "
    else:
        # The tables of a test are so small that it would read them whole.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    found = connection.exec_driver_sql(explain + statement, parameters).all()
    db.session.remove()
    return "\n".join(str(line[-1]) for line in found)


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("path", LARGE)
@pytest.mark.parametrize("who", ["viewer", "researcher", "north_registry"])
@pytest.mark.usefixtures("world")
def test_no_large_table_is_read_whole(call: Caller, who: str, path: str, page: int) -> None:
    with _sending() as sent:
        answer = call(who, "GET", path, query={"page": page, "per_page": 1})
    assert answer.status_code == 200
    statement, parameters = next(one for one in sent if f"FROM {LARGE[path]}" in one[0])
    plan = _plan(statement, parameters)
    for table in LARGE.values():
        for reading in (f"SCAN {table}", f"Seq Scan on {table}"):
            whole = [line for line in plan.splitlines() if reading in line and "INDEX" not in line]
            assert whole == [], plan

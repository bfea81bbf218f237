"""What goes over the wire: the exact fields of rest.md 1.9, links, times, flags, bad values."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from marshmallow import Schema, ValidationError, fields, post_dump, pre_dump

from v6srv.dialect import asked
from v6srv.wire import links
from v6srv.wire.base import Changes, Flag, Output, Text, Timestamp, Whole, id_field
from v6srv.wire.organization import OrganizationPatch
from v6srv.wire.token import UserLogin
from v6srv.wire.v3.collaboration import CollaborationIn, CollaborationOut
from v6srv.wire.v3.node import NodeInCollaborationOut, NodeOut, NodeWithKeyOut
from v6srv.wire.v3.organization import OrganizationIn, OrganizationOut
from v6srv.wire.v3.port import PortIn, PortOut
from v6srv.wire.v3.result import (
    ResultInTaskOut,
    ResultOfTaskOut,
    ResultOut,
    ResultPatch,
    ResultWithTaskOut,
    TaskWithResultsOut,
)
from v6srv.wire.v3.task import TaskIn, TaskInResultOut, TaskOut

NOON = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)

TASK = {
    "id",
    "run_id",
    "name",
    "description",
    "image",
    "database",
    "created_at",
    "finished_at",
    "complete",
    "status",
    "initiator",
    "init_user",
    "collaboration",
    "parent",
    "children",
    "results",
}
RESULT = {
    "id",
    "input",
    "result",
    "log",
    "status",
    "assigned_at",
    "started_at",
    "finished_at",
    "organization",
    "task",
    "node",
    "ports",
}
NODE = {
    "id",
    "name",
    "type",
    "status",
    "ip",
    "last_seen",
    "organization",
    "collaboration",
    "config",
}
ORGANIZATION = {
    "id",
    "name",
    "domain",
    "address1",
    "address2",
    "zipcode",
    "country",
    "public_key",
    "collaborations",
    "nodes",
    "users",
    "results",
    "roles",
}


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        (TaskOut, TASK),
        (TaskWithResultsOut, TASK),
        (TaskInResultOut, TASK - {"results"}),
        (ResultOut, RESULT),
        (ResultWithTaskOut, RESULT),
        (ResultOfTaskOut, RESULT),
        (ResultInTaskOut, RESULT - {"task"}),
        (NodeOut, NODE),
        (NodeWithKeyOut, NODE | {"api_key"}),
        (NodeInCollaborationOut, NODE - {"type", "collaboration"}),
        (OrganizationOut, ORGANIZATION),
        (CollaborationOut, {"id", "name", "encrypted", "organizations", "nodes", "tasks"}),
        (PortOut, {"id", "port", "label", "result"}),
    ],
)
def test_an_answer_has_exactly_the_fields_of_the_contract(schema, keys):
    assert set(schema().fields) == keys


def task(**values):
    return SimpleNamespace(
        **{
            "id": 12,
            "run_id": 9,
            "name": "mean",
            "description": "",
            "image": "i",
            "database": "default",
            "created_at": NOON,
            "last_finished_at": None,
            "unfinished": 1,
            "status": "pending",
            "initiator_id": 2,
            "init_user_id": 7,
            "shown_collaboration_id": 1,
            "parent_id": None,
            "child_ids": [],
            "result_ids": [31],
            **values,
        }
    )


def result(**values):
    return SimpleNamespace(
        **{
            "id": 31,
            "task_id": 12,
            "shown_organization_id": 2,
            "input": "aW4=",
            "result": None,
            "log": None,
            "status": "pending",
            "assigned_at": NOON,
            "started_at": None,
            "finished_at": None,
            "node_rows": [],
            "port_rows": [],
            **values,
        }
    )


def test_a_task_has_numbers_links_and_null_for_no_links():
    shown = TaskOut().dump(task())
    assert shown["initiator"] == 2  # nodes compare numbers (H8)
    assert shown["init_user"] == 7
    assert shown["parent"] is None
    assert shown["children"] is None
    assert shown["collaboration"] == {
        "id": 1,
        "link": "/api/collaboration/1",
        "methods": ["GET", "PATCH", "DELETE"],
    }
    assert shown["results"] == [{"id": 31, "link": "/api/result/31", "methods": ["GET", "PATCH"]}]


@pytest.mark.parametrize(
    ("unfinished", "last", "complete", "finished_at"),
    [
        (1, None, False, None),
        (1, NOON, False, None),  # one of two is finished
        (0, NOON, True, "2024-05-01T12:00:00+00:00"),
        (0, None, True, None),  # no results at all
    ],
)
def test_a_task_is_complete_when_nothing_is_unfinished(unfinished, last, complete, finished_at):
    shown = TaskOut().dump(task(unfinished=unfinished, last_finished_at=last))
    assert (shown["complete"], shown["finished_at"]) == (complete, finished_at)


def test_the_node_of_a_result_is_an_object_even_if_there_is_none():
    assert ResultOut().dump(result())["node"] == {}
    rows = [[3, "Alpha", "online", None, [6, 5]]]
    assert ResultOut().dump(result(node_rows=rows))["node"] == {
        "id": 3,
        "name": "Alpha",
        "status": "online",
        "ip": None,
        "config": [5, 6],
    }


def test_what_a_result_shows_of_its_task_depends_on_where_it_is():
    row = result(port_rows=[[4, 38211, None]], task=task())
    assert ResultOut().dump(row)["task"]["link"] == "/api/task/12"
    assert ResultOut().dump(row)["organization"]["link"] == "/api/organization/2"
    assert ResultOfTaskOut().dump(row)["task"] == 12
    assert ResultOfTaskOut().dump(row)["organization"] == 2
    assert ResultOfTaskOut().dump(row)["ports"] == [{"id": 4, "port": 38211, "label": None}]
    assert ResultWithTaskOut().dump(row)["task"] == TaskInResultOut().dump(row.task)


def test_a_task_that_may_not_be_seen_stays_a_link():
    shown = ResultWithTaskOut().dump(result(task=None))
    assert shown["task"] == {"id": 12, "link": "/api/task/12", "methods": ["GET", "DELETE"]}


def test_a_node_shows_values_and_in_a_collaboration_ids():
    row = SimpleNamespace(
        id=3,
        name="n",
        type="node",
        status=None,
        ip=None,
        last_seen=NOON,
        organization_id=2,
        collaboration_id=None,
        config_rows=[[5, "encryption", "0"]],
    )
    shown = NodeOut().dump(row)
    assert shown["config"] == [{"key": "encryption", "value": "0"}]
    assert shown["collaboration"] is None
    assert NodeInCollaborationOut().dump(row)["config"] == [5]
    assert NodeWithKeyOut().dump({"node": row, "api_key": "k"}) == {**shown, "api_key": "k"}


def test_to_many_ids_are_lists_and_to_many_links_are_null_when_there_are_none():
    row = SimpleNamespace(
        **dict.fromkeys(ORGANIZATION),
        collaboration_ids=[],
        node_ids=[],
        user_ids=[],
        result_ids=[],
        role_ids=[],
    )
    shown = OrganizationOut().dump(row)
    assert shown["roles"] == []
    for name in ("collaborations", "nodes", "users", "results"):
        assert shown[name] is None


class _Shapes:
    """A field of each kind that places its value otherwise."""

    plain = fields.Integer()
    renamed = fields.String(attribute="called")
    keyed = fields.String(data_key="as")
    absent = fields.String()
    assumed = fields.String(dump_default="none")
    made = fields.String(dump_default=lambda: "new")
    read = fields.Function(lambda row: row.plain + 1)
    asked = fields.Method("ask")
    always = fields.Constant("same")
    hidden = fields.String(load_only=True)
    nested = fields.Nested(Schema.from_dict({"id": fields.Integer()}))

    def ask(self, row):
        return f"{row.plain}?"

    @pre_dump
    def _add(self, row, **_):
        row.plain += 1
        return row

    @post_dump
    def _count(self, answer, **_):
        return {**answer, "fields": len(answer)}


@pytest.mark.parametrize("only", [None, ("plain", "made", "read")])
def test_a_row_is_dumped_as_marshmallow_dumps_it(only):
    ours, its = (type("Shown", (_Shapes, base), {})(only=only) for base in (Output, Schema))

    def rows():
        return [
            SimpleNamespace(
                plain=number,
                called=None,
                keyed="k",
                hidden="h",
                always="other",
                nested=SimpleNamespace(id=8),
            )
            for number in (1, 2)
        ]

    assert ours.dump(rows(), many=True) == its.dump(rows(), many=True)
    assert ours.dump(rows()[0]) == its.dump(rows()[0])
    assert list(ours.dump(rows()[0])) == list(its.dump(rows()[0])), "in the same order"


# --- input


@pytest.mark.parametrize(
    ("text", "time", "shown"),
    [
        (
            "2026-11-24T06:26:37.425079",
            datetime(2026, 11, 24, 6, 26, 37, 425079),
            "2026-11-24T06:26:37.425079+00:00",
        ),
        (
            "2026-01-01T00:00:00",
            datetime(2026, 1, 1),
            "2026-01-01T00:00:00+00:00",
        ),  # no microseconds
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        (
            "2026-01-01T02:00:00+02:00",
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-01T00:00:00+00:00",
        ),
        ("2026-01-01", datetime(2026, 1, 1), "2026-01-01T00:00:00+00:00"),
    ],
)
def test_times_are_iso_with_and_without_fraction_and_offset(text, time, shown):
    read = Timestamp().deserialize(text)
    assert read == time
    assert Timestamp()._serialize(read, None, None) == shown


@pytest.mark.parametrize("bad", ["", "yesterday", 5, [], "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time_is_refused(bad):
    with pytest.raises(ValidationError):
        Timestamp().deserialize(bad)


@pytest.mark.parametrize("value", [True, 1, "1", "true", "True", "TRUE", "tRue"])
def test_every_spelling_of_true(value):
    assert Flag().deserialize(value) is True


@pytest.mark.parametrize("value", [False, 0, "0", "false", "False", "FALSE", ""])
def test_every_spelling_of_false(value):
    assert Flag().deserialize(value) is False


@pytest.mark.parametrize("value", ["maybe", 2, [], {}])
def test_what_is_no_flag_is_refused(value):
    with pytest.raises(ValidationError):
        Flag().deserialize(value)


@pytest.mark.parametrize(
    "value", ["abc", "", 2.5, float("nan"), float("inf"), True, [], {}, "1.5", None]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValidationError):
        Whole().deserialize(value)


@pytest.mark.parametrize("value", [0, -1, 2**31, 10**30, "99999999999"])
def test_ids_that_cannot_exist_are_refused(value):
    with pytest.raises(ValidationError):
        id_field().deserialize(value)


def test_a_number_as_text_is_a_number():
    assert id_field().deserialize("17") == 17


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", True, [], {}])
def test_text_that_cannot_be_stored_is_refused(value):
    with pytest.raises(ValidationError):
        Text().deserialize(value)


def test_null_means_not_given_in_a_patch():
    class Patch(Changes):
        name = Text()

    assert Patch().load({"name": None, "unknown": 1}) == {}
    assert OrganizationPatch().load({"name": None, "country": "NL"}) == {"country": "NL"}
    assert OrganizationIn().load({"name": "A", "address2": None, "public_key": None}) == {
        "name": "A",
        "domain": "",
        "address1": "",
        "address2": None,
        "zipcode": "",
        "country": "",
        "public_key": "",
    }


def order(**values):
    return {"collaboration_id": 1, "organizations": [{"id": 2}], **values}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("YQ==", "YQ=="),
        ({"method": "mean"}, '{"method": "mean"}'),  # very old clients
        (None, None),
        ("", ""),
    ],
)
def test_the_input_of_a_task_is_opaque_text(given, stored):
    loaded = TaskIn().load(order(organizations=[{"id": 2, "input": given}]))
    assert loaded["organizations"] == [{"id": 2, "input": stored}]


@pytest.mark.parametrize(
    "bad",
    [
        {"organizations": []},
        {"organizations": None},
        {"organizations": [3]},
        {"organizations": [{"input": "x"}]},
        {"organizations": [{"id": 2, "input": 5}]},
        {"organizations": [{"id": 2, "input": ["x"]}]},
        {"organizations": {"id": 2}},
        {"collaboration_id": None},
        {"collaboration_id": "one"},
        {"name": ["x"]},
    ],
)
def test_a_bad_order_is_refused(bad):
    with pytest.raises(ValidationError):
        TaskIn().load(order(**bad))


def test_what_is_left_out_of_an_order_is_empty():
    loaded = TaskIn().load(order(name=None))
    assert {loaded[name] for name in ("name", "description", "image")} == {""}


@pytest.mark.parametrize(
    ("sent", "databases"),
    [({"database": "x"}, [("x", {})]), ({"database": ""}, []), ({"database": None}, []), ({}, [])],
    ids=str,
)
def test_the_database_of_an_order_is_one_of_several_or_none(sent, databases):
    loaded = TaskIn().load(order(**sent))
    assert loaded["databases"] == databases
    assert "database" not in loaded


@pytest.mark.parametrize("status", ["pending", "unheard of", ""])
def test_a_node_cannot_report_such_a_status(status):
    with pytest.raises(ValidationError):
        ResultPatch().load({"status": status})


def test_a_log_with_odd_characters_does_not_lose_the_result():
    loaded = ResultPatch().load({"log": "a\x00b\ud800", "result": "", "status": None})
    assert loaded == {"log": "a\ufffdb?", "result": ""}


@pytest.mark.parametrize("port", ["http", 0, 65536, None, 80.5, -1])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(ValidationError):
        PortIn().load({"port": port, "result_id": 1})


@pytest.mark.parametrize(
    ("given", "encrypted"), [({}, False), ({"encrypted": 1}, True), ({"encrypted": None}, False)]
)
def test_a_collaboration_is_not_encrypted_unless_told(given, encrypted):
    loaded = CollaborationIn().load({"name": "S", "organization_ids": 2, **given})
    assert loaded == {"name": "S", "organization_ids": [2], "encrypted": encrypted}


@pytest.mark.parametrize(
    ("sent", "code"),
    [(12345, "012345"), (7, "000007"), ("012345", "012345"), (123456, "123456"), (0, None)],
)
def test_a_code_that_is_sent_as_a_number_has_its_zeros(sent: object, code: str | None) -> None:
    """rest.md 3.2: text or a number."""
    body = {"username": "ada", "password": "x", "mfa_code": sent}
    assert UserLogin().load(body)["mfa_code"] == code


def test_links_write_the_same_json_as_they_show(app_path):
    ids = [1, 20, 2**31 - 1]
    shown = links.links("result", ids)
    assert shown == [links.link("result", id) for id in ids]
    assert json.loads(shown.json()) == list(shown)
    assert (len(shown), shown[1]["id"], shown[:1] == [shown[0]]) == (3, 20, True)


@pytest.fixture(params=["/api", "/", '/v6/"quoted"/\u00e4'])
def app_path(request):
    with asked.using(asked.Asked(3, request.param)):
        yield

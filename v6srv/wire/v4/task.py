"""Bodies, queries and answers of `/task` (rest.md 3.6, 3.7 of 4.x)."""

from typing import Any

from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from v6srv.wire.base import (
    MAX_IMAGE,
    Changes,
    Flag,
    Input,
    NumberFilter,
    Opaque,
    Output,
    Text,
    id_field,
)
from v6srv.wire.task import KeepDays, Targets, TaskFilters
from v6srv.wire.v4.algorithmstore import Url
from v6srv.wire.v4.base import ListUrl, Name, Timestamp, ToOne

MAX_DATABASES = 1000
MAX_DESCRIPTION = 1024

COMPLETED = "completed"


class _TaskName(Name):
    """A name, which may be missing."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return value if value == "" else super()._deserialize(value, attr, data, **kwargs)


def _names_functions(steps: list[dict[str, Any]]) -> None:
    if not all("function" in step for step in steps):
        raise ValidationError("A step without `function`.")


class DatabaseIn(Changes):
    """A database that the task reads at each node, by its label there."""

    class Meta:
        """Options of marshmallow: what is said of data is not passed over."""

        unknown = RAISE

    label = Text(required=True, validate=validate.Length(1))
    arguments = fields.Dict(keys=fields.String())
    query = Opaque()
    sheet_name = Text()
    preprocessing = fields.List(fields.Dict(), validate=_names_functions)

    @post_load
    def _apart(self, database: dict[str, Any], **_: Any) -> tuple[str, dict[str, Any]]:
        return database.pop("label"), database


class TaskIn(Changes):
    """A new task for at least one organization of a collaboration or a study."""

    collaboration_id = id_field(load_default=None)
    study_id = id_field(load_default=None)
    store_id = id_field(load_default=None)
    server_url = Url(
        load_default=None,
        metadata={"description": "Where the store finds this server; otherwise as this call did"},
    )
    organizations = Targets()
    name = _TaskName(load_default="")
    description = Text(load_default="", validate=validate.Length(max=MAX_DESCRIPTION))
    image = Text(required=True, validate=validate.Length(1, MAX_IMAGE))
    databases = fields.List(
        fields.Nested(DatabaseIn), load_default=list, validate=validate.Length(max=MAX_DATABASES)
    )
    database = Text(
        validate=validate.Length(max=0, error="That is of 3.x: name it in `databases`."),
        metadata={"description": "What 3.x programs send: refused, for it would be lost"},
    )
    keep_days = KeepDays()

    @validates_schema
    def _has_place(self, order: dict[str, Any], **_: Any) -> None:
        if order.get("collaboration_id") is None and order.get("study_id") is None:
            raise ValidationError("One of collaboration_id and study_id is needed.")

    @post_load
    def _in_words_of_the_domain(self, order: dict[str, Any], **_: Any) -> dict[str, Any]:
        order.pop("database", None)
        return with_inputs(order)


def with_inputs(order: dict[str, Any]) -> dict[str, Any]:
    """An order in which no input is missing: one that was not sent is empty."""
    for target in order["organizations"]:
        target["input"] = target["input"] or ""
    return order


class TaskInclude(Input):
    """What to embed in tasks."""

    include = fields.List(
        Text(), metadata={"description": "`runs`, `results`: the rows, not the path of their list"}
    )


class TaskQuery(TaskInclude, TaskFilters):
    """Filters of the list; `name`, `image` and `description` with the wildcards `%` and `_`."""

    init_org_id = NumberFilter()
    study_id = NumberFilter()
    store_id = NumberFilter()
    job_id = NumberFilter()
    run_id = NumberFilter()
    database = Text(metadata={"description": "The label of one of its databases"})
    is_user_created = Flag(metadata={"description": "Or else by an algorithm: a subtask"})


class FinishedAt(Timestamp):
    """Dump the time of the last finished run once all have ended well."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        done = obj.status_in_4 == COMPLETED
        return super()._serialize(value, attr, obj, **kwargs) if done else None


class Databases(fields.Field[Any]):
    """Dump rows `[position, label, parameters]` as objects."""

    def __init__(self) -> None:
        text = {"type": "string"}
        items = {"type": "object", "properties": {"label": text, "parameters": text}}
        super().__init__(
            attribute="database_rows", dump_only=True, metadata={"type": "array", "items": items}
        )

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return [{"label": label, "parameters": parameters} for _, label, parameters in value]


class TaskStatusOut(Output):
    """How far a task is."""

    status = fields.String(attribute="status_in_4")


class TaskInRunOut(TaskStatusOut):
    """A task without its runs."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    image = fields.String(allow_none=True)
    job_id = fields.Integer(attribute="run_id", allow_none=True)
    created_at = Timestamp(allow_none=True)
    finished_at = FinishedAt(attribute="last_finished_at", allow_none=True)
    collaboration = ToOne("collaboration", attribute="shown_collaboration_id")
    study = ToOne("study", attribute="study_id")
    algorithm_store = ToOne("algorithmstore", attribute="algorithm_store_id")
    parent = ToOne("task", attribute="parent_id")
    init_org = ToOne("organization", attribute="initiator_id")
    init_user = ToOne("user", attribute="init_user_id")
    databases = Databases()
    results = ListUrl("result", "task_id")
    children = ListUrl("task", "parent_id")


class TaskOut(TaskInRunOut):
    """A task."""

    runs = ListUrl("run", "task_id")

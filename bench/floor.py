"""The floor: bare Flask and SQLAlchemy views of the same rows, served as v6srv is.

No authentication, no permission, no schema, no events: what an answer with these rows costs at
least, with this web framework, this database library, this database and this machine.
"""

import os
from datetime import UTC, datetime

import bcrypt
from flask import Flask, jsonify, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from v6srv.db import make_engine, writing
from v6srv.model import Member, Node, Organization, Result, Role, Run, Task, User
from v6srv.passwords import key_digest

app = Flask(__name__)
engine = make_engine(os.environ["BENCH_DATABASE"])

MODELS = {"task": Task, "result": Result, "organization": Organization, "node": Node}
OF_TASK = ("id", "name", "description", "image", "database", "run_id", "initiator_id")
OF_RESULT = ("id", "input", "result", "log", "status", "organization_id", "task_id")
OF_ORGANIZATION = ("id", "name", "domain", "address1", "address2", "zipcode", "country")
OF_NODE = ("id", "name", "status", "organization_id", "collaboration_id")
_USER, _NODE = User.__table__.c, Node.__table__.c
SHOWN = {"task": OF_TASK, "result": OF_RESULT, "organization": OF_ORGANIZATION, "node": OF_NODE}


def _shown(kind: str, row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in SHOWN[kind]}


def _with_results(sess: Session, tasks: list[Task]) -> list[dict[str, object]]:
    """Tasks with the ids of their results: what every answer about a task holds."""
    results: dict[int, list[int]] = {task.id: [] for task in tasks}
    query = select(Result.task_id, Result.id).where(Result.task_id.in_(results))
    for task_id, id in sess.execute(query):
        results[task_id].append(id)
    return [{**_shown("task", task), "results": results[task.id]} for task in tasks]


def _with_relations(
    sess: Session, organizations: list[Organization], mine: list[int]
) -> list[dict[str, object]]:
    """Organizations with the ids that a Researcher is shown: what the contract's answer holds."""
    shown = {one.id: _shown("organization", one) for one in organizations}
    own = request.args.get("own", type=int)
    for name, owner, column, condition in (
        (
            "results",
            Result.organization_id,
            Result.id,
            Result.collaboration_id.in_(mine),
        ),
        ("users", _USER.organization_id, _USER.id, _USER.organization_id == own),
        ("nodes", _NODE.organization_id, _NODE.id, _NODE.organization_id == own),
        ("roles", Role.organization_id, Role.id, Role.organization_id == own),
        (
            "collaborations",
            Member.c.organization_id,
            Member.c.collaboration_id,
            Member.c.collaboration_id.in_(mine),
        ),
    ):
        ids: dict[int, list[int]] = {id: [] for id in shown}
        query = select(owner, column).where(owner.in_(ids), condition)
        for organization_id, id in sess.execute(query):
            ids[organization_id].append(id)
        for organization_id, found in ids.items():
            shown[organization_id][name] = found
    return list(shown.values())


@app.get("/version")
def version():
    return {"version": "floor"}


@app.get("/task/<int:id>")
def one_task(id):
    with Session(engine) as sess:
        return jsonify(_with_results(sess, [sess.get_one(Task, id)])[0])


@app.get("/organization/<int:id>")
def one_organization(id):
    members = request.args.getlist("collaboration", type=int)
    with Session(engine) as sess:
        return jsonify(_with_relations(sess, [sess.get_one(Organization, id)], members)[0])


@app.get("/<kind>")
def rows(kind):
    model, page = MODELS[kind], request.args.get("page", type=int)
    query = select(model).order_by(model.id.desc())
    members = request.args.getlist("collaboration", type=int)
    if kind == "task":
        query = query.where(Task.collaboration_id.in_(members))
    elif kind == "result":
        query = query.where(Result.collaboration_id.in_(members))
    elif kind == "organization":
        partners = select(Member.c.organization_id).where(Member.c.collaboration_id.in_(members))
        query = query.where(Organization.id.in_(partners)).order_by(None).order_by(Organization.id)
    size = request.args.get("per_page", 10, type=int)
    with Session(engine) as sess:
        total = 0
        if page:
            counted = query.with_only_columns(func.count(), maintain_column_froms=True)
            total = sess.scalar(counted.order_by(None))
            query = query.limit(size).offset(size * (page - 1))
        found = list(sess.scalars(query))
        if kind == "task":
            shown = _with_results(sess, found)
        elif kind == "organization" and "bare" not in request.args:
            shown = _with_relations(sess, found, members)
        else:
            shown = [_shown(kind, row) for row in found]
        answer = jsonify(shown)
        answer.headers["total-count"] = str(total or len(found))
        return answer


@app.post("/task")
def create_task():
    body = request.get_json()
    with writing(), Session(engine) as sess:
        run = Run()
        sess.add(run)
        sess.flush()
        task = Task(
            name=body["name"],
            image=body["image"],
            collaboration_id=body["collaboration_id"],
            run_id=run.id,
            results=[
                Result(organization_id=one["id"], input=one["input"], status="pending")
                for one in body["organizations"]
            ],
        )
        sess.add(task)
        sess.commit()
        return jsonify({**_shown("task", task), "results": [row.id for row in task.results]}), 201


@app.patch("/result/<int:id>")
def change_result(id):
    body = request.get_json()
    with writing(), Session(engine) as sess:
        result = sess.get_one(Result, id)
        result.status = body["status"]
        result.started_at = datetime.fromisoformat(body["started_at"]).replace(tzinfo=UTC)
        sess.commit()
        return jsonify(_shown("result", result))


@app.post("/login")
def login():
    body = request.get_json()
    with Session(engine) as sess:
        stored = sess.scalars(select(User.password).where(User.username == body["username"])).one()
    right = bcrypt.checkpw(body["password"].encode(), stored.encode())
    return jsonify({"right": right})


@app.post("/node-login")
def node_login():
    digest = key_digest(request.get_json()["api_key"])
    with Session(engine) as sess:
        node = sess.scalars(select(Node).where(Node.key_digest == digest)).one()
        return jsonify({"id": node.id})

"""/algorithmstore (rest.md 3.10 of the 4.x contract), with a store over HTTP."""

import socket
import time
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import select

from tests.api.test_policy_line_rest import add, line
from tests.api4.shared import names, refused
from tests.api4.store import DIGEST, algorithm_store
from tests.live import free_port
from tests.support import Caller, open_app
from v6srv.db import session, transaction
from v6srv.errors import Denied, Invalid, Upstream
from v6srv.identity import tokens
from v6srv.identity.signing import StrangeClaims
from v6srv.model import AlgorithmStore
from v6srv.service import algorithm_stores, store_client

IMAGE = "registry.example/average:1"
HERE = "http://localhost/v4/api"
"""What the store knows this server by, unless told."""


@pytest.fixture
def store():
    with algorithm_store() as running:
        yield running


@pytest.fixture
def stored(app, world):
    """Ids of the stores of each collaboration, and of one that is for all."""
    with app.app_context(), transaction() as sess:
        rows = {
            name: AlgorithmStore(
                name=name,
                url=f"https://{name}.example/api",
                collaboration_id=getattr(world.collab, name, None),
            )
            for name in ("registry", "trial", "all")
        }
        sess.add_all(rows.values())
    return {name: row.id for name, row in rows.items()}


def _body(store, **more):
    return {"name": "store", "algorithm_store_url": store.url, "force": True, **more}


def _rows(app):
    with app.app_context():
        found = session.execute(
            select(AlgorithmStore.url, AlgorithmStore.collaboration_id).order_by(AlgorithmStore.id)
        ).all()
        return [tuple(row) for row in found]


# --- read


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ["all", "registry", "trial"]),
        ("viewer", ["all", "registry"]),
        ("west_researcher", ["all", "trial"]),
        ("east_viewer", ["all"]),
    ],
)
def test_a_list_shows_the_stores_of_the_own_collaborations_and_those_for_all(
    call4, stored, who, seen
):
    assert names(call4(who, "GET", "/algorithmstore")) == seen
    for name, id in stored.items():
        found = call4(who, "GET", f"/algorithmstore/{id}").status_code
        assert found == (200 if name in seen else 403)


@pytest.mark.parametrize("who", ["nobody", "north_registry", "container"])
def test_who_views_no_collaborations_or_is_no_user_gets_no_list(call4, stored, who):
    assert call4(who, "GET", "/algorithmstore").status_code == 403


def test_a_node_reads_the_store_that_its_policy_names(call4, stored):
    found = call4("north_registry", "GET", f"/algorithmstore/{stored['registry']}")
    assert found.json["url"] == "https://registry.example/api"
    other = call4("north_registry", "GET", f"/algorithmstore/{stored['trial']}")
    assert other.status_code == 403


def test_the_form_is_that_of_the_contract(call4, world, stored):
    assert call4("root", "GET", f"/algorithmstore/{stored['trial']}").json == {
        "id": stored["trial"],
        "name": "trial",
        "url": "https://trial.example/api",
        "collaborations": f"/v4/api/collaboration?algorithm_store_id={stored['trial']}",
    }
    common = call4("root", "GET", f"/algorithmstore/{stored['all']}").json
    assert common["collaborations"] is None


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "re%"}, ["registry"]),
        ({"url": "%trial%"}, ["trial"]),
        ({"sort": "-name", "per_page": 1}, ["trial"]),
    ],
)
def test_the_list_is_filtered(call4, stored, query, seen):
    assert names(call4("root", "GET", "/algorithmstore", query=query)) == seen


def test_the_stores_of_a_collaboration_are_its_own_and_those_for_all(call4, world, stored):
    def of(who, id):
        return call4(who, "GET", "/algorithmstore", query={"collaboration_id": id})

    assert names(of("viewer", world.collab.registry)) == ["all", "registry"]
    assert of("viewer", world.collab.trial).status_code == 403
    assert of("root", 99).status_code == 404
    assert of("viewer", 99).status_code == 403


def test_what_is_not_there_looks_like_what_others_have(call4, stored):
    assert call4("root", "GET", "/algorithmstore/99").status_code == 404
    assert call4("viewer", "GET", "/algorithmstore/99").status_code == 403
    assert call4("root", "GET", f"/algorithmstore/{2**40}").status_code == 404


# --- make


def test_a_store_is_made_known_here_and_this_server_there(app, call4, world, store):
    body = _body(store, collaboration_id=world.collab.registry)
    made = call4("collab_admin", "POST", "/algorithmstore", json=body)
    assert made.status_code == 201, made.json
    assert (made.json["name"], made.json["url"]) == ("store", store.url)
    assert store.servers == {1: HERE}
    assert store.heard == [("POST", "/vantage6-server", HERE)]
    assert _rows(app) == [(store.url, world.collab.registry)]


def test_the_client_names_its_collaboration_in_a_list(app, call4, world, store):
    body = _body(store, collaboration_id=[world.collab.registry], server_url="http://v6.example/x/")
    assert call4("root", "POST", "/algorithmstore", json=body).status_code == 201
    assert store.servers == {1: "http://v6.example/x"}
    assert _rows(app) == [(store.url, world.collab.registry)]


def test_a_store_for_all_takes_the_place_of_those_of_one(app, call4, world, store):
    for collaboration in (world.collab.registry, world.collab.trial, None):
        body = _body(store, collaboration_id=collaboration)
        assert call4("root", "POST", "/algorithmstore", json=body).status_code == 201
    assert _rows(app) == [(store.url, None)]
    for collaboration in (world.collab.registry, None):
        body = _body(store, collaboration_id=collaboration)
        again = call4("root", "POST", "/algorithmstore", json=body)
        assert refused(again) == "This algorithm store is already there"
    assert list(store.servers.values()) == [HERE]


@pytest.mark.parametrize("who", ["viewer", "org_admin", "north_registry", "container"])
def test_who_may_not_edit_the_collaboration_has_no_store_asked(call4, world, store, who):
    body = _body(store, collaboration_id=world.collab.registry)
    assert call4(who, "POST", "/algorithmstore", json=body).status_code == 403
    assert store.heard == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "LOCALHOST.",
        "a.localhost",
    ],
)
def test_a_store_on_this_machine_has_to_be_meant(call4, store, host):
    url = store.url.replace("127.0.0.1", host)
    body = {**_body(store), "force": False, "algorithm_store_url": url}
    assert "force" in refused(call4("root", "POST", "/algorithmstore", json=body))
    assert store.heard == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", " "),
        ("algorithm_store_url", None),
        ("algorithm_store_url", "file:///etc/passwd"),
        ("algorithm_store_url", "http://"),
        ("algorithm_store_url", "http://[::1"),
        ("algorithm_store_url", "http://a b/"),
        ("algorithm_store_url", "http://a.example:99999/"),
        ("algorithm_store_url", "http://a.example/inside?"),
        ("algorithm_store_url", "http://a.example/inside#"),
        ("algorithm_store_url", "http://name:secret@a.example"),
        ("algorithm_store_url", "http://a.example\\b"),
        ("algorithm_store_url", "http://h\u00e9.example"),
        ("algorithm_store_url", 7),
        ("server_url", "http://a.example/\x01"),
        ("server_url", "nowhere"),
        ("collaboration_id", [1, 2]),
        ("collaboration_id", "x"),
        ("force", "maybe"),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(call4, store, field, value):
    answer = call4("root", "POST", "/algorithmstore", json=_body(store, **{field: value}))
    refused(answer, field)


def test_a_collaboration_that_is_not_there(call4, store):
    body = _body(store, collaboration_id=99)
    assert call4("root", "POST", "/algorithmstore", json=body).status_code == 404


# --- stores that do not do as they are told


@pytest.mark.parametrize(("public", "status"), [(True, 201), (False, 403)])
def test_a_store_that_takes_nobody_in_will_do_when_it_shows_all(
    app, call4, world, store, public, status
):
    store.closed, store.public = True, public
    answer = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert answer.status_code == status
    assert len(_rows(app)) == (status == 201)
    if status == 403:
        assert "This store takes nobody in" in answer.json["msg"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((400, {"msg": "Not like this"}), 400),
        ((401, {"msg": "Not like this"}), 400),
        ((404, {"msg": "Not like this"}), 404),
        ((500, {"msg": "Not like this"}), 500),
    ],
)
def test_what_the_store_refuses_is_passed_on(app, call4, store, answer, status):
    store.answers["POST /vantage6-server"] = answer
    refusal = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert (refusal.status_code, "Not like this" in refusal.json["msg"]) == (status, True)
    assert _rows(app) == []


def test_the_token_follows_no_redirection(call4, store):
    store.answers["POST /vantage6-server"] = (302, {})
    assert call4("root", "POST", "/algorithmstore", json=_body(store)).status_code == 400
    assert len(store.heard) == 1


def test_a_store_that_says_nothing_one_can_read(call4, store):
    store.answers["POST /vantage6-server"] = (500, b"<html>")
    answer = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert (answer.status_code, "no reason" in answer.json["msg"]) == (500, True)


def test_a_store_that_is_not_there(app, call4, store):
    store.url = f"http://127.0.0.1:{free_port()}"
    answer = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert (answer.status_code, "cannot be reached" in answer.json["msg"]) == (404, True)
    assert _rows(app) == []


def test_a_slow_store_is_not_waited_for_and_holds_nobody_up(
    app, call, call4, world, store, monkeypatch
):
    monkeypatch.setattr(store_client, "ANSWER_WITHIN_S", 0.5)
    store.delay_s = 2.0
    in_between = []

    def note(*_args, **_kwargs):
        in_between.append(session().in_transaction())
        return _ask(*_args, **_kwargs)

    _ask = store_client._answer
    monkeypatch.setattr(store_client, "_answer", note)
    begun = time.monotonic()
    answer = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert answer.status_code == 404
    assert time.monotonic() - begun < 1.9
    assert in_between == [False]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_store_that_sends_byte_by_byte_is_hung_up_on(call4, store, monkeypatch, answer):
    monkeypatch.setattr(store_client, "ANSWER_WITHIN_S", 0.3)
    hung_up = Event()

    def drip(client):
        client.recv(65536)
        try:
            client.sendall(answer)
            while True:
                client.sendall(b"x")
                time.sleep(0.02)
        except OSError:
            hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=lambda: drip(server.accept()[0]), daemon=True).start()
        store.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert call4("root", "POST", "/algorithmstore", json=_body(store)).status_code == 404
        assert hung_up.wait(5.0)


def test_a_store_is_sent_the_token_and_no_password_of_this_server(
    call4, store, monkeypatch, tmp_path
):
    (tmp_path / ".netrc").write_text("default login operator password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert call4("root", "POST", "/algorithmstore", json=_body(store)).status_code == 201
    assert [sent.partition(" ")[0] for sent in store.authorized] == ["Bearer"]


def test_what_a_store_is_sent_says_who_asks_and_is_good_for_nothing_else(app, call4, store):
    assert call4("root", "POST", "/algorithmstore", json=_body(store)).status_code == 201
    [sent] = store.authorized
    client, headers = app.test_client(), {"Authorization": sent}
    for base in ("/v4/api", "/api"):
        said = client.post(f"{base}/token/user/validate", headers=headers)
        assert (said.status_code, said.json["username"]) == (200, "root")
    for method, path in (
        ("GET", "/v4/api/user"),
        ("GET", "/v3/api/user"),
        ("GET", "/v4/api/event"),
        ("POST", "/v4/api/token/refresh"),
        ("POST", "/v4/api/token/node/validate"),
        ("POST", "/v4/api/algorithmstore"),
        ("PATCH", "/v4/api/password/change"),
    ):
        refusal = client.open(path, method=method, headers=headers, json={})
        assert refusal.status_code in (401, 422), (path, refusal.json)
    with app.app_context(), pytest.raises(StrangeClaims):
        tokens.read_bearer(sent)
    with app.app_context():
        claims = tokens.read_bearer(sent, visits=True)
    assert claims.expires_at < datetime.now(UTC) + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (("*",), 201),
        (("store.example", "127.0.0.*"), 201),
        (("store.example", "*.example"), 404),
        ((), 404),
    ],
)
def test_stores_are_asked_where_the_settings_let_them_be(backend, databases, store, hosts, status):
    with open_app(databases, backend, True, algorithm_store_hosts=hosts) as (app, _):
        call4 = Caller(app, "/v4/api")
        answer = call4("root", "POST", "/algorithmstore", json=_body(store))
        assert answer.status_code == status
        assert len(store.heard) == (status == 201)
        if status == 404:
            assert "algorithm_store_hosts" in answer.json["msg"]
            # One that was made before can still be taken away.
            with app.app_context(), transaction() as sess:
                sess.add(row := AlgorithmStore(name="before", url=store.url))
            assert call4("root", "DELETE", f"/algorithmstore/{row.id}").status_code == 200
            assert (_rows(app), store.heard) == ([], [])


def test_a_long_reason_is_cut(call4, store):
    store.answers["POST /vantage6-server"] = (400, {"msg": "x" * 100_000})
    answer = call4("root", "POST", "/algorithmstore", json=_body(store))
    assert len(answer.json["msg"]) < 500


@pytest.fixture
def meanwhile(monkeypatch):
    """What happens while a store is asked."""
    happens = []
    ask = store_client._answer

    def answer(*args):
        while happens:
            happens.pop()()
        return ask(*args)

    monkeypatch.setattr(store_client, "_answer", answer)
    return happens.append


def test_a_right_that_is_taken_away_while_a_store_is_asked_is_gone(
    app, call, call4, world, store, meanwhile
):
    taken = []
    path = f"/user/{world.user.collab_admin}"
    meanwhile(lambda: taken.append(call("root", "PATCH", path, json={"roles": []}).status_code))
    body = _body(store, collaboration_id=world.collab.registry)
    answer = call4("collab_admin", "POST", "/algorithmstore", json=body)
    assert (taken, answer.status_code) == ([200], 403)
    assert _rows(app) == []


# --- change and remove


def test_a_store_is_renamed_and_moved(app, call4, world, stored):
    path = f"/algorithmstore/{stored['registry']}"
    renamed = call4("collab_admin", "PATCH", path, json={"name": "other"})
    assert (renamed.status_code, renamed.json["name"]) == (200, "other")
    moved = call4("root", "PATCH", path, json={"collaboration_id": None, "name": None})
    assert (moved.json["name"], moved.json["collaborations"]) == ("other", None)
    assert ("https://registry.example/api", None) in _rows(app)
    assert refused(call4("root", "PATCH", path, json={"name": " "}), "name")
    assert call4("root", "PATCH", path, json={"collaboration_id": 99}).status_code == 404


@pytest.mark.parametrize("who", ["viewer", "org_admin", "north_registry"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_who_may_not_edit_the_collaboration_changes_no_store(app, call4, stored, who, method):
    before = _rows(app)
    for name in ("registry", "all"):
        path = f"/algorithmstore/{stored[name]}"
        assert call4(who, method, path, json={"name": "x"}).status_code == 403
    assert call4(who, method, "/algorithmstore/99", json={"name": "x"}).status_code == 403
    assert _rows(app) == before


def test_a_store_goes_with_all_of_its_address_and_forgets_this_server(app, call4, world, store):
    for collaboration in (world.collab.registry, world.collab.trial):
        body = _body(store, collaboration_id=collaboration)
        made = call4("root", "POST", "/algorithmstore", json=body).json["id"]
    store.servers[7] = "http://another.example"
    gone = call4("root", "DELETE", f"/algorithmstore/{made}")
    assert (gone.status_code, isinstance(gone.json["msg"], str)) == (200, True)
    assert _rows(app) == []
    assert store.servers == {7: "http://another.example"}


def test_a_store_goes_though_it_is_not_there_any_more(app, call4, store):
    store.url = f"http://127.0.0.1:{free_port()}"
    with app.app_context(), transaction() as sess:
        sess.add(row := AlgorithmStore(name="gone", url=store.url))
    assert call4("root", "DELETE", f"/algorithmstore/{row.id}").status_code == 200
    assert _rows(app) == []


def test_a_store_that_keeps_this_server_stays(app, call4, store):
    made = call4("root", "POST", "/algorithmstore", json=_body(store)).json["id"]
    store.answers["DELETE /vantage6-server/1"] = (403, {"msg": "No"})
    answer = call4("root", "DELETE", f"/algorithmstore/{made}")
    assert (answer.status_code, len(_rows(app))) == (403, 1)
    for known in (7, {"url": HERE}, {"url": HERE, "id": None}, {"url": HERE, "id": "1/../x"}):
        store.answers["GET /vantage6-server"] = (200, {"data": [known]})
        strange = call4("root", "DELETE", f"/algorithmstore/{made}")
        assert (strange.status_code, "as expected" in strange.json["msg"]) == (500, True)


# --- images of tasks


def _origin(app, world, store_id, image=IMAGE, collaboration="registry"):
    visitor = store_client.Visitor("Bearer x", HERE)
    with app.app_context():
        id = getattr(world.collab, collaboration)
        return algorithm_stores.origin(store_id, id, image, visitor)


def test_an_image_of_a_store_has_its_digest(app, world, call4, store):
    made = call4("root", "POST", "/algorithmstore", json=_body(store)).json["id"]
    store.images = {IMAGE: DIGEST, "registry.example/plain": None}
    found = _origin(app, world, made)
    assert (found.image, found.store_id) == (f"{IMAGE}@{DIGEST}", made)
    plain = _origin(app, world, made, "registry.example/plain")
    assert (plain.image, plain.store_id) == ("registry.example/plain", None)
    with pytest.raises(Invalid, match="no algorithm"):
        _origin(app, world, made, "registry.example/unknown")
    store.answers["GET /algorithm"] = (403, {"msg": "Not for you"})
    with pytest.raises(Invalid, match="Not for you"):
        _origin(app, world, made)


@pytest.mark.parametrize("digest", [7, ["x"], {"a": 1}, "sha256:\x00"])
def test_a_digest_is_text_that_can_be_stored(app, world, call4, store, digest):
    made = call4("root", "POST", "/algorithmstore", json=_body(store)).json["id"]
    store.answers["GET /algorithm"] = (200, {"data": [{"image": IMAGE, "digest": digest}]})
    with pytest.raises(Upstream, match="as expected"):
        _origin(app, world, made)


def test_an_image_of_a_store_that_cannot_be_had(app, world, stored, store):
    with pytest.raises(Invalid, match="not found"):
        _origin(app, world, 99)
    with pytest.raises(Denied):
        _origin(app, world, stored["trial"])
    with app.app_context(), transaction() as sess:
        sess.add(row := AlgorithmStore(name="gone", url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Invalid, match="cannot be reached"):
        _origin(app, world, row.id)


def test_a_line_can_keep_stores_from_being_named(call, call4, world, store):
    """docs/operations.md says so."""
    condition = "meets(r.sub.changes, ('algorithm_stores',))"
    add(call, line("role:everyone", "collaboration", "edit", condition, effect="deny"))
    body = _body(store, collaboration_id=world.collab.registry)
    assert call4("collab_admin", "POST", "/algorithmstore", json=body).status_code == 403
    assert store.heard == []
    path = f"/collaboration/{world.collab.registry}"
    assert call4("collab_admin", "PATCH", path, json={"name": "renamed"}).status_code == 200

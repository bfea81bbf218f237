"""How often logins may fail, who counts, and what the log says about it."""

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.api.test_token import LOGIN, WRONG
from tests.live import free_port
from tests.realtime.test_processes import redis_server
from tests.support import Caller, open_app
from tests.world import PASSWORD, api_key
from v6srv import db, passwords, problems
from v6srv.app import create_app
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.identity import node_login, rate_limit
from v6srv.identity.rate_limit import Counters, RateLimit
from v6srv.model import Node, User

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
ELSEWHERE = {"environ_base": {"REMOTE_ADDR": "192.0.2.9"}}
STRANGER = {"username": "stranger", "password": PASSWORD}


def log_in(call, body, **more):
    return call(None, "POST", "/token/user", json=body, **more)


@pytest.fixture
def limited(backend, databases):
    """Open an application with these limits."""
    with contextlib.ExitStack() as stack:

        def start(**settings):
            app, world = stack.enter_context(open_app(databases, backend, True, **settings))
            return Caller(app), world

        yield start


@pytest.mark.parametrize("body", [WRONG, STRANGER])
def test_an_address_that_fails_too_often_waits_for_this_account_only(limited, body):
    call, _ = limited(login_rate_limit="3 per 15 minutes")
    for _ in range(3):
        assert log_in(call, body).status_code == 401
    answer = log_in(call, body)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    # The same door seen from the second factor.
    lost = call(None, "POST", "/recover/2fa/lost", json=body)
    assert lost.status_code == 429
    # Neither others behind this address wait, nor this account at another one.
    assert log_in(call, {**LOGIN, "username": "researcher"}).status_code == 200
    assert log_in(call, body, **ELSEWHERE).status_code == 401
    assert call(
        None, "POST", "/token/node", json={"api_key": api_key("north_registry")}
    ).status_code == 200  # fmt: skip


def test_the_shorter_of_two_limits_counts_first_and_the_longer_one_says_when(limited):
    call, _ = limited(login_rate_limit="2 per minute; 3 per hour")
    assert [log_in(call, STRANGER).status_code for _ in range(3)] == [401, 401, 429]
    assert int(log_in(call, STRANGER).headers["Retry-After"]) <= 60


@pytest.mark.parametrize("off", ["", "off", False])
def test_the_limit_can_be_switched_off(limited, off):
    call, _ = limited(login_rate_limit=off)
    assert {log_in(call, STRANGER).status_code for _ in range(25)} == {401}


def test_a_wrong_key_is_limited_for_itself_and_never_called_wrong_meanwhile(limited):
    call, _ = limited(login_rate_limit="2 per 15 minutes")

    def log_in_node(key, **more):
        return call(None, "POST", "/token/node", json={"api_key": key}, **more).status_code

    assert [log_in_node("wrong") for _ in range(3)] == [401, 401, 429]
    assert log_in_node("wrong, too") == 401
    assert log_in_node("wrong", **ELSEWHERE) == 401
    assert log_in_node(api_key("north_registry")) == 200


def test_a_process_forgets_the_oldest_of_too_many_keys(backend, monkeypatch):
    monkeypatch.setattr(rate_limit, "MOST_KEYS", 3)
    limit = RateLimit("user", "1 per hour", Counters(None, "secret"))
    for name in "abcd":
        assert limit.note(name)
    assert [limit.note(name) for name in "bcd"] == [False] * 3
    assert limit.note("a")


# --- several processes, one Redis


@contextlib.contextmanager
def own_redis():
    """A Redis that may be frozen and killed: start it (again), and the process."""
    port, running = free_port(), []
    with contextlib.ExitStack() as stack:

        def start():
            process = subprocess.Popen(
                [
                    shutil.which("redis-server") or pytest.fail("redis-server is not installed"),
                    *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"),
                ],
                stdout=subprocess.DEVNULL,
            )
            stack.callback(process.kill)
            running.append(process)
            redis.Redis(port=port, retry=Retry(ConstantBackoff(0.1), 100)).ping()
            return process

        yield f"redis://127.0.0.1:{port}/0", start


@pytest.mark.parametrize("where", ["rate_limit_uri", "rabbitmq_uri"])
def test_applications_that_share_a_redis_count_together(limited, databases, where):
    with redis_server() as uri:
        settings = {
            "login_rate_limit": "4 per 15 minutes",
            "jwt_secret_key": secrets.token_hex(32),  # its keys in Redis are its own
            where: uri,
        }
        first, _ = limited(**settings)
        second = Caller(create_app(first.app.config["SETTINGS"]))
        for call in (first, second, first, second):
            assert log_in(call, STRANGER).status_code == 401
        assert log_in(first, STRANGER).status_code == 429
        answer = log_in(second, STRANGER)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
        stored = b" ".join(redis.Redis.from_url(uri).scan_iter("v6srv:limits*"))
        assert b"stranger" not in stored
        assert b"127.0.0.1" not in stored


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_without_redis_each_process_counts_for_itself_and_says_so(limited, monkeypatch, end):
    monkeypatch.setattr(rate_limit, "ASK_REDIS_AGAIN_S", 0.2)
    problem = "failed logins are counted by each process for itself: Redis does not answer"
    with own_redis() as (uri, start):
        process = start()
        call, _ = limited(login_rate_limit="2 per 15 minutes", rate_limit_uri=uri)
        assert [log_in(call, STRANGER).status_code for _ in range(3)] == [401, 401, 429]
        if end == "kill":
            process.kill()
            process.wait()
        else:
            process.send_signal(signal.SIGSTOP)
        # From zero, as nobody knows any more what was counted; never 500.
        assert [log_in(call, STRANGER).status_code for _ in range(3)] == [401, 401, 429]
        assert problem in problems.standing()
        if end == "kill":
            start()
        else:
            process.send_signal(signal.SIGCONT)
        for _ in range(100):
            log_in(call, {**STRANGER, "username": "somebody else"})
            if problem not in problems.standing():
                break
            time.sleep(0.05)
        assert problem not in problems.standing()


def test_while_redis_is_away_only_one_request_now_and_then_asks_for_it(backend, monkeypatch):
    """A closed port is told at once, but one that swallows packets costs a time-out each time."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        counters = Counters(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "secret")
        limit = RateLimit("user", "1000 per hour", counters)
        shared = counters._shared
        monkeypatch.setattr(
            shared.storage,
            "acquire_entry",
            lambda *given, ask=shared.storage.acquire_entry, **more: (
                asked.append(given) or ask(*given, **more)
            ),
        )
        for _ in range(50):
            assert limit.note("a")
    assert len(asked) == 1
    problems.end(rate_limit._PROBLEM)


# --- nodes of a 3.x server


@pytest.fixture
def legacy(limited, monkeypatch):
    """Ten nodes that were taken over: their keys by id, and how many hashes were computed."""
    call, _ = limited()
    keys = {}
    with call.app.app_context(), db.writing():
        for number in range(8):
            db.session.add(Node(name=f"taken over {number}", type="node"))
        db.session.flush()
        for node in db.session.query(Node).order_by(Node.id.desc()).limit(10):
            keys[node.id] = f"key {node.id}"
            node.key_digest, node.api_key = None, passwords.hash_password(keys[node.id])
        db.session.commit()
    hashes = []
    compare = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: hashes.append(given) or compare(*given))
    return call, keys, hashes


def log_in_node(call, key):
    return call(None, "POST", "/token/node", json={"api_key": key})


def test_a_key_is_compared_with_one_hash_per_request_and_wrong_only_after_the_last(legacy):
    call, _, hashes = legacy
    for number in range(1, 10):
        answer = log_in_node(call, "wrong")
        assert answer.status_code == 503
        assert isinstance(answer.json["msg"], str)
        assert int(answer.headers["Retry-After"]) > 0
        assert len(hashes) == number
    answer = log_in_node(call, "wrong")
    assert (answer.status_code, answer.json["msg"]) == (401, "Api key is not recognized!")
    assert len(hashes) == len({stored for _, stored in hashes}) == 10
    assert log_in_node(call, "wrong").status_code == 401
    assert len(hashes) == 10


def test_every_node_of_a_3x_server_gets_in_if_it_only_asks_again(legacy):
    call, keys, hashes = legacy
    waiting, rounds = dict(keys), 0
    while waiting:
        for id, key in list(waiting.items()):
            before = len(hashes)
            answer = log_in_node(call, key)
            assert len(hashes) <= before + 1
            assert answer.status_code in (200, 503)
            if answer.status_code == 200:
                assert answer.json["node_url"] == f"{call.base}/node/{id}"
                del waiting[id]
        rounds += 1
    assert rounds <= 10
    done = len(hashes)
    assert {log_in_node(call, key).status_code for key in keys.values()} == {200}
    assert log_in_node(call, "wrong").status_code == 401
    assert len(hashes) == done  # nothing is hashed once all have come


def test_nodes_that_come_back_together_are_not_all_compared_with_the_same_one(legacy):
    call, _, hashes = legacy
    for number in range(10):
        log_in_node(call, f"another key {number}")
    assert len({stored for _, stored in hashes}) >= 4


def test_a_key_that_another_process_has_just_found_is_not_called_wrong(legacy, monkeypatch):
    call, keys, _ = legacy
    id, key = next(iter(keys.items()))
    legacy_keys = node_login.accounts.legacy_keys

    def meanwhile():
        with as_server(ServerWrite.COMMAND), call.app.app_context(), db.writing():
            node = db.session.get(Node, id)
            node.key_digest, node.api_key = passwords.key_digest(key), None
            db.session.commit()
        return []

    monkeypatch.setattr(node_login.accounts, "legacy_keys", meanwhile)
    assert log_in_node(call, key).status_code == 200
    monkeypatch.setattr(node_login.accounts, "legacy_keys", legacy_keys)


def test_what_was_compared_is_remembered_within_bounds(backend):
    compared = node_login.Compared(most=4)
    nodes = [(1, "hash 1"), (2, "hash 2")]
    for digest in ("a", "b", "c"):
        for _, stored in nodes:
            assert compared.left(digest, nodes)
            compared.note(digest, stored)
            compared.note(digest, stored)
    assert len(compared.left("a", nodes)) == 2  # forgotten: it would begin anew
    assert compared.left("b", nodes) == compared.left("c", nodes) == []
    assert compared.left("c", [(2, "a new hash")]) == [(2, "a new hash")]


# --- the log


def test_failed_logins_and_lock_outs_are_logged_without_secrets(limited, caplog):
    caplog.set_level("INFO")
    call, _ = limited(login_rate_limit="7 per 15 minutes")
    forged = "viewer\nuser 1 (root) is locked out"
    for body in (*[WRONG] * 8, STRANGER, {**WRONG, "username": forged}):
        log_in(call, body)
    log_in(call, {**STRANGER, "username": "x" * 5000})
    log_in_node(call, "the-secret-key")
    lines = [record.getMessage() for record in caplog.records if "identity" in record.name]
    place = "from '127.0.0.1' failed"
    assert lines.count(f"login of 'viewer' {place}: wrong password") == 5
    assert lines.count(f"login of 'viewer' {place}: locked out") == 2
    assert lines.count(f"login of 'viewer' {place}: too often") == 1
    assert f"login of 'stranger' {place}: unknown account" in lines
    assert f"login of {forged!r} {place}: unknown account" in lines
    assert f"login of a node {place}: unknown key" in lines
    [locked] = [line for line in lines if "is locked out for" in line and "viewer'" in line]
    assert "for 15 minutes after 5 failed logins, the last from '127.0.0.1'" in locked
    for line in lines:
        assert "\n" not in line
        assert len(line) < 300
    for secret in (PASSWORD, WRONG["password"], "the-secret-key"):
        assert secret not in caplog.text


def test_people_behind_one_address_who_all_mistype_at_once_do_not_block_each_other(limited):
    call, world = limited(login_rate_limit="1 per 15 minutes")
    names = [name for name in vars(world.user) if name != "root"]

    def come(name):
        one = Caller(call.app)
        first = log_in(one, {"username": name, "password": "Wr0ng-Pass!"}).status_code
        with call.app.app_context():
            count = db.session.query(User).filter_by(username=name).one().failed_login_attempts
        return first, count

    with ThreadPoolExecutor(4) as people:
        assert set(people.map(come, names)) == {(401, 1)}

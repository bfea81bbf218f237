"""How passwords and API keys are stored, compared and ruled (auth.md 4)."""

import hashlib
import subprocess
import sys

import bcrypt
import pytest

from v6srv import passwords
from v6srv.errors import Invalid

GOOD = "Str0ng-Pass!"


@pytest.fixture(autouse=True)
def _cheap():
    passwords.configure(rounds=4)
    yield
    passwords.configure()


def test_a_hash_has_the_form_of_the_contract_and_cost_12_by_default():
    passwords.configure()
    stored = passwords.hash_password(GOOD)
    assert stored.startswith("$2b$12$")
    assert len(stored) == 60


def test_every_hash_has_its_own_salt():
    assert passwords.hash_password(GOOD) != passwords.hash_password(GOOD)


def test_only_the_same_password_fits():
    stored = passwords.hash_password(GOOD)
    assert passwords.check_password(GOOD, stored)
    assert not passwords.check_password(GOOD + "x", stored)
    assert not passwords.check_password("", stored)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_hashes_of_older_libraries_are_accepted(prefix):
    stored = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(4)).decode()
    assert passwords.check_password(GOOD, prefix + stored[4:])


def test_bytes_after_the_72nd_do_not_count_as_in_stored_hashes_of_3x():
    long = "Aa1!" * 18
    stored = bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode()
    assert passwords.check_password(long + "whatever follows", stored)
    assert not passwords.check_password(long[:-1] + "?", stored)


def test_every_byte_of_a_new_long_password_counts():
    """Q-65: 128 characters are allowed"""
    long = "é" * 40
    stored = passwords.hash_password(long)
    assert passwords.check_password(long, stored)
    for other in (long + "é", long[:-1], long[:36], long[:36] + "e" * 4):
        assert not passwords.check_password(other, stored)
    plain = stored.removeprefix(passwords.DIGESTED)
    assert plain != stored
    assert not passwords.check_password(long, plain)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "plain text",
        "$2b$12$tooshort",
        "$1$" + "x" * 57,
        "$2b$99$" + "x" * 53,
        "$2b$04$" + "é" * 53,
        "$2b$04$" + "1" * 53,
    ],
)
def test_nothing_fits_what_is_no_hash(stored):
    assert not passwords.check_password(GOOD, stored)
    assert not passwords.check_password("nobody has this password", stored)


def test_an_unknown_account_costs_as_much_as_a_wrong_password(monkeypatch):
    costs = []
    check = bcrypt.checkpw
    monkeypatch.setattr(
        bcrypt, "checkpw", lambda text, stored: (costs.append(stored[4:6]), check(text, stored))[1]
    )
    passwords.configure(rounds=5)
    passwords.check_password(GOOD, None)
    passwords.check_password(GOOD, passwords.hash_password("Another-1"))
    assert costs == [b"05", b"05"]


def test_under_gevent_hashing_lets_other_greenlets_run():
    program = """
from gevent import monkey; monkey.patch_all()
import gevent
from v6srv import passwords
passwords.configure(rounds=11)
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0.001)
ticker = gevent.spawn(tick)
gevent.sleep(0)
passwords.hash_password("Str0ng-Pass!")
ticker.kill()
print(ticks)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) > 5


def test_the_digest_of_a_key_is_stable_and_no_plain_sha256():
    key = "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01"
    digest = passwords.key_digest(key)
    assert digest == passwords.key_digest(key)
    assert len(digest) == 64
    assert digest != passwords.key_digest(key.upper())
    assert digest != hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Aa1!aaa", "Password too short"),
        ("A1!" + "a" * 126, "Password too long"),
        ("Aa!aaaaa", "at least one number"),
        ("aa1!aaaa", "at least one uppercase letter"),
        ("AA1!AAAA", "at least one lowercase letter"),
        ("Aa1aaaaa", "at least one special character"),
        ("aaaaaaaa", "at least one number"),  # the first rule that is broken is named
    ],
)
def test_each_rule_is_named_when_it_is_broken(text, problem):
    assert problem in passwords.password_problem(text)
    with pytest.raises(Invalid, match=problem):
        passwords.seal(text)


@pytest.mark.parametrize("text", [GOOD, "Aa1!aaaa", "A1!" + "a" * 125])
def test_a_password_that_keeps_the_rules_is_sealed(text):
    assert passwords.password_problem(text) is None
    assert passwords.check_password(text, passwords.seal(text))


def test_a_hash_of_less_cost_is_as_much_work_as_an_unknown_account(monkeypatch):
    work = []
    check = bcrypt.checkpw
    monkeypatch.setattr(
        bcrypt,
        "checkpw",
        lambda text, stored: (work.append(2 ** int(stored[4:6])), check(text, stored))[1],
    )
    old = {
        rounds: bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(rounds)).decode() for rounds in (4, 6)
    }
    passwords.configure(rounds=6)
    for stored in (None, *old.values()):
        work.clear()
        assert passwords.check_password(GOOD, stored) is (stored is not None)
        assert sum(work) == 2**6


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_a_hash_of_another_cost_is_outdated_whichever_program_made_it(prefix):
    stored = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(5)).decode().replace("2b", prefix, 1)
    assert passwords.check_password(GOOD, stored)
    assert passwords.is_outdated(stored, GOOD)
    passwords.configure(rounds=5)
    assert not passwords.is_outdated(stored, GOOD)


def test_what_a_3x_server_has_cut_off_is_not_hashed_anew():
    long = "Aa1!" * 20
    stored = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(5)).decode()
    assert passwords.check_password(long[:72] + "wrong", stored)
    assert not passwords.is_outdated(stored, long[:72] + "wrong")
    passwords.configure(rounds=5)
    new = passwords.hash_password(long)
    passwords.configure(rounds=4)
    assert passwords.is_outdated(new, long)

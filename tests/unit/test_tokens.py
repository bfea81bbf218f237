"""Signed tokens (auth.md 2) and one-time tokens of mails (realtime-quirks A2 to A4)."""

import time
from datetime import UTC, datetime
from uuid import UUID

import jwt
import pytest
from flask import Flask

from v6srv.errors import BadToken, Invalid, Unauthenticated
from v6srv.identity import signing, tokens
from v6srv.identity.signing import Expired, StrangeClaims, TooEarly
from v6srv.model import Node, User
from v6srv.settings import Settings
from v6srv.vocabulary import V3, V4, PrincipalKind

KEY = "the key of these tests, long enough for HS256"
HASH = "$2b$12$" + "x" * 53
CONTAINER = {
    "node_id": 3,
    "organization_id": 2,
    "collaboration_id": 1,
    "task_id": 9,
    "image": "registry.example/average:1",
    "database": None,
}


def application(**settings):
    app = Flask("tokens")
    tokens.init_app(app, Settings(**{"instance": "unused", "jwt_secret_key": KEY, **settings}))
    return app


@pytest.fixture(autouse=True)
def _app():
    with application().app_context():
        yield


def user(**changes):
    values = {"id": 5, "username": "rita", "password": HASH, "email": "rita@alpha.example"}
    return User(**{**values, "token_version": 2, **changes})


def node():
    return Node(id=3, token_version=0)


def read(token):
    """The claims, as clients see them: without verification."""
    return jwt.decode(token, options={"verify_signature": False})


def signed(key=KEY, **claims):
    """A token with the claims of a user's, and these."""
    now = int(time.time())
    usual = {"sub": 5, "type": "access", "client_type": "user", "jti": "x", "exp": now + 60}
    given = {**usual, **claims}
    return jwt.encode(
        {name: value for name, value in given.items() if value is not None}, key, "HS256"
    )


def bearer(token, **kwargs):
    return tokens.read_bearer(f"Bearer {token}", **kwargs)


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_users_tokens_have_the_claims_of_the_contract_and_three_of_our_own(kind):
    token = tokens.issue_pair(user(), ["Researcher"])[kind == "refresh"]
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "HS256", "typ": "JWT", "kid": signing.kid_of(KEY)}
    claims = read(token)
    assert set(claims) == {
        *("sub", "type", "fresh", "iat", "nbf", "exp", "jti", "client_type", "roles"),
        *("ver", "sid", "auth_time"),
    }
    assert claims["sub"] == 5
    assert claims["type"] == kind
    assert claims["fresh"] is False
    assert claims["client_type"] == "user"
    assert claims["roles"] == ["Researcher"]
    assert claims["iat"] == claims["nbf"]
    assert abs(claims["iat"] - time.time()) < 5
    assert UUID(claims["jti"]).version == 4
    assert claims["exp"] - claims["iat"] == {"access": 6, "refresh": 48}[kind] * 3600


def test_a_nodes_tokens_have_no_role_names():
    claims = read(tokens.issue_pair(node())[0])
    assert (claims["sub"], claims["client_type"], claims["roles"]) == (3, "node", [])


def test_a_container_token_carries_the_object_of_the_contract_and_ends_some_day():
    claims = read(tokens.issue_container_token(CONTAINER, 0))
    assert claims["sub"] == {"client_type": "container", **CONTAINER}
    assert claims["client_type"] == "container"
    assert claims["type"] == "access"
    assert claims["exp"] - claims["iat"] > 24 * 3600


def test_a_thousand_roles_do_not_blow_up_the_header():
    access, _ = tokens.issue_pair(user(), (f"role {i}" for i in range(1000)))
    assert len(read(access)["roles"]) == tokens.MAX_ROLE_NAMES
    assert len(access) < 4000


def test_lifetimes_are_those_of_the_settings():
    with application(token_expires_hours=2, refresh_token_expires_hours=3).app_context():
        access, refresh = (read(token) for token in tokens.issue_pair(user()))
    assert access["exp"] - access["iat"] == 7200
    assert refresh["exp"] - refresh["iat"] == 10800


def test_what_was_issued_is_read_back():
    access, refresh = tokens.issue_pair(user())
    claims = bearer(access)
    assert claims.kind is PrincipalKind.USER
    assert (claims.account_id, claims.version, claims.container) == (5, 2, None)
    assert claims.expires_at == datetime.fromtimestamp(read(access)["exp"], UTC)
    assert claims.jti == read(access)["jti"]
    assert bearer(refresh, refresh=True).session_id == claims.session_id
    container = bearer(tokens.issue_container_token(CONTAINER, 4))
    assert container.kind is PrincipalKind.CONTAINER
    assert (container.account_id, container.version) == (3, 4)
    assert container.container["task_id"] == 9


def test_tokens_of_another_dialect_say_so_and_those_of_3x_are_as_they_were():
    for issued in (
        *tokens.issue_pair(user(), dialect=V4),
        tokens.issue_container_token(CONTAINER, 0, V4),
    ):
        assert read(issued)["dialect"] == 4
        assert bearer(issued, refresh=read(issued)["type"] == "refresh").dialect == V4
    access, refresh = tokens.issue_pair(user(), dialect=V3)
    for issued in (access, refresh, tokens.issue_container_token(CONTAINER, 0, V3)):
        assert "dialect" not in read(issued)
    assert bearer(access).dialect is None


@pytest.mark.parametrize("said", [None, 5, "4", [4], True, 4.5])
def test_a_dialect_that_there_is_not_is_none(said):
    assert bearer(signed(dialect=said)).dialect is None


@pytest.mark.parametrize(
    ("said", "generation", "spoken"),
    [(None, None, 3), (4, None, 4), (None, 4, 4), (4, 3, 3), (4, 4, 4)],
)
def test_what_a_node_was_seen_to_be_goes_before_what_its_token_says(said, generation, spoken):
    """Its token is from a login, and may be of a guess, or of the program before."""
    assert bearer(signed(dialect=said)).spoken(generation) == spoken


def test_pairs_have_sessions_of_their_own_unless_one_is_carried_over():
    first, second = (bearer(tokens.issue_pair(user())[0]).session_id for _ in range(2))
    assert first != second
    assert bearer(tokens.issue_pair(user(), session_id=first)[0]).session_id == first


def test_a_raised_version_ends_all_tokens_but_those_of_the_session_that_is_kept():
    changing, other = user(), user()
    mine = bearer(tokens.issue_pair(changing)[0])
    others = bearer(tokens.issue_pair(other)[0])
    assert mine.honoured(changing.token_version, changing.kept_session)
    changing.end_tokens(keep=mine.session_id)
    assert mine.honoured(changing.token_version, changing.kept_session)
    assert not others.honoured(changing.token_version, changing.kept_session)
    changing.end_tokens()
    assert not mine.honoured(changing.token_version, changing.kept_session)
    container = bearer(tokens.issue_container_token(CONTAINER, 0))
    assert not container.honoured(1, None)


def test_a_token_of_a_3x_server_with_the_same_key_is_a_token_of_the_first_version():
    claims = bearer(signed(roles=["Researcher"], fresh=False))
    assert (claims.version, claims.session_id) == (0, None)
    assert claims.honoured(0, None)
    assert not claims.honoured(1, None)


@pytest.mark.parametrize("header", [None, ""])
def test_a_missing_header_is_unauthenticated(header):
    with pytest.raises(Unauthenticated, match="Missing Authorization Header"):
        tokens.read_bearer(header)


@pytest.mark.parametrize("header", ["Basic cml0YTpwdw==", "bearer x", " ", "x.y.z"])
def test_another_scheme_is_unauthenticated(header):
    with pytest.raises(Unauthenticated, match="Missing 'Bearer' type in 'Authorization' header"):
        tokens.read_bearer(header)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Bearer", "Bad Authorization header"),
        ("Bearer one two", "Bad Authorization header"),
        ("Bearer nonsense", "Not enough segments"),
        ("Bearer a.b.c", "."),
        ("Bearer é.è.ê", "."),
    ],
)
def test_what_is_no_token_is_a_bad_token(header, text):
    with pytest.raises(BadToken, match=text):
        tokens.read_bearer(header)


def test_a_forged_token_is_a_bad_token():
    with pytest.raises(BadToken, match="Signature verification failed"):
        bearer(signed(key="the key of somebody else, of good length"))
    unsigned = jwt.encode({"sub": 5, "type": "access", "client_type": "user"}, None, "none")
    with pytest.raises(BadToken):
        bearer(unsigned)


def test_an_expired_token_is_unauthenticated_in_its_own_way():
    with pytest.raises(Expired, match="Token has expired"):
        bearer(signed(exp=int(time.time()) - 1))
    assert issubclass(Expired, Unauthenticated)


def test_access_and_refresh_tokens_are_not_mixed_up():
    access, refresh = tokens.issue_pair(user())
    with pytest.raises(BadToken, match="Only non-refresh tokens are allowed"):
        bearer(refresh)
    with pytest.raises(BadToken, match="Only refresh tokens are allowed"):
        bearer(access, refresh=True)


OLD_KEY = "an older key of these tests, long enough too"


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_tokens_of_a_clock_that_is_a_little_ahead_are_good(key, claim):
    """Two processes, or one whose clock was set back by five minutes."""
    with application(jwt_previous_keys=[OLD_KEY]).app_context():
        assert bearer(signed(key, **{claim: int(time.time()) + 299})).account_id == 5
        with pytest.raises(TooEarly, match="the clocks of the servers differ too much"):
            bearer(signed(key, **{claim: int(time.time()) + 400}))
    assert issubclass(TooEarly, Unauthenticated)


def test_the_leeway_is_a_setting():
    ahead = int(time.time()) + 50
    with application(clock_leeway_s=0).app_context(), pytest.raises(TooEarly):
        bearer(signed(iat=ahead))
    with application(clock_leeway_s=100).app_context():
        assert bearer(signed(iat=ahead))


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_no_token_lives_longer_for_the_leeway(key):
    with application(jwt_previous_keys=[OLD_KEY]).app_context(), pytest.raises(Expired):
        bearer(signed(key, exp=int(time.time())))


def test_the_leeway_holds_for_mailed_tokens_too():
    claims = read(tokens.issue_purpose_token(user(), tokens.PASSWORD))

    def mailed(ahead_s):
        ahead = int(time.time()) + ahead_s
        token = signed(**{**claims, "iat": ahead, "nbf": ahead})
        return tokens.read_purpose_token(token, tokens.PASSWORD)

    assert mailed(299).account_id == 5
    with pytest.raises(TooEarly):
        mailed(400)


def test_a_previous_key_still_verifies_but_signs_nothing():
    old = tokens.issue_pair(user())[0]
    mailed = tokens.issue_purpose_token(user(), tokens.PASSWORD)
    new_key = "another key that came later, of good length"
    with application(jwt_secret_key=new_key, jwt_previous_keys=[KEY]).app_context():
        assert bearer(old).account_id == 5
        assert tokens.read_purpose_token(mailed, tokens.PASSWORD).account_id == 5
        jwt.decode(tokens.issue_pair(user())[0], new_key, ["HS256"], options={"verify_sub": False})
        with pytest.raises(Expired):
            bearer(signed(exp=int(time.time()) - 1))
    with (
        application(jwt_secret_key=new_key).app_context(),
        pytest.raises(BadToken, match="Signature verification failed"),
    ):
        bearer(old)


NEW_KEY = "a key that is to come, of good length as well"

STAGES = {
    "before": {"jwt_secret_key": KEY},
    "announced": {"jwt_secret_key": KEY, "jwt_previous_keys": [NEW_KEY]},
    "changed": {"jwt_secret_key": NEW_KEY, "jwt_previous_keys": [KEY]},
    "after": {"jwt_secret_key": NEW_KEY},
}
"""What a process is configured with while the key is changed (docs/operations.md)."""


@pytest.mark.parametrize(
    ("signer", "reader", "good"),
    [
        ("before", "announced", True),
        ("announced", "before", True),
        ("announced", "changed", True),
        ("changed", "announced", True),
        ("before", "changed", True),
        ("changed", "before", False),  # why the new key is announced first
        ("changed", "after", True),
        ("after", "changed", True),
        ("after", "announced", True),
        ("before", "after", False),
    ],
)
def test_while_the_key_is_changed_each_process_reads_the_tokens_of_its_neighbours(
    signer, reader, good
):
    with application(**STAGES[signer]).app_context():
        access, refresh = tokens.issue_pair(user())
        container = tokens.issue_container_token(CONTAINER, 0)
        mailed = tokens.issue_purpose_token(user(), tokens.PASSWORD)
    with application(**STAGES[reader]).app_context():
        if good:
            assert bearer(access).account_id == bearer(refresh, refresh=True).account_id == 5
            assert bearer(container).account_id == 3
            assert tokens.read_purpose_token(mailed, tokens.PASSWORD).fits(user())
        else:
            with pytest.raises(signing.WrongSignature, match="Signature verification failed"):
                bearer(access)
            with pytest.raises(Invalid):
                tokens.read_purpose_token(mailed, tokens.PASSWORD)


@pytest.mark.parametrize("stage", ["announced", "changed"])
@pytest.mark.parametrize("key", [KEY, NEW_KEY])
def test_a_token_from_before_there_was_a_kid_may_be_of_any_key(stage, key):
    with application(**STAGES[stage]).app_context():
        assert bearer(signed(key)).account_id == 5


def test_a_token_is_of_the_key_that_it_names():
    claims = read(signed())
    with application(jwt_previous_keys=[OLD_KEY]).app_context():
        for key, named, good in (
            (KEY, KEY, True),
            (OLD_KEY, OLD_KEY, True),
            (KEY, OLD_KEY, False),
            (OLD_KEY, KEY, False),
            (KEY, NEW_KEY, False),
        ):
            token = jwt.encode(claims, key, "HS256", {"kid": signing.kid_of(named)})
            if good:
                assert bearer(token).account_id == 5
            else:
                with pytest.raises(signing.WrongSignature):
                    bearer(token)


def test_a_key_that_is_too_short_verifies_nothing():
    short = "short"
    with application(jwt_previous_keys=[short]).app_context():
        for header in ({}, {"kid": signing.kid_of(short)}):
            with pytest.raises(BadToken):
                bearer(jwt.encode(read(signed()), short, "HS256", header))


@pytest.mark.parametrize("purpose", [tokens.PASSWORD, tokens.SECOND_FACTOR])
def test_a_mailed_token_is_for_its_purpose_only_and_no_bearer_token(purpose):
    token = tokens.issue_purpose_token(user(), purpose)
    assert tokens.read_purpose_token(token, purpose).fits(user())
    (other,) = {tokens.PASSWORD, tokens.SECOND_FACTOR} - {purpose}
    with pytest.raises(Invalid, match="Invalid recovery token!"):
        tokens.read_purpose_token(token, other)
    for refresh in (False, True):
        with pytest.raises(StrangeClaims):
            bearer(token, refresh=refresh)


@pytest.mark.parametrize(
    ("purpose", "change"),
    [
        (tokens.PASSWORD, {"password": HASH.replace("x", "y")}),
        (tokens.PASSWORD, {"email": "rita@elsewhere.example"}),
        (tokens.PASSWORD, {"id": 6}),
        (tokens.SECOND_FACTOR, {"password": HASH.replace("x", "y")}),
        (tokens.SECOND_FACTOR, {"otp_secret": "another secret"}),
    ],
)
def test_a_mailed_token_fits_once(purpose, change):
    token = tokens.issue_purpose_token(user(), purpose)
    assert not tokens.read_purpose_token(token, purpose).fits(user(**change))


def test_an_expired_mailed_token_says_so():
    settings = {"smtp": {"email_token_validity_minutes": 10}}
    with application(**settings).app_context():
        claims = read(tokens.issue_purpose_token(user(), tokens.PASSWORD))
    assert claims["exp"] - claims["iat"] == 600
    with pytest.raises(Expired):
        tokens.read_purpose_token(signed(**{**claims, "exp": 1}), tokens.PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        {"sub": 5},
        {"sub": {"id": 5}},
        {"sub": {"id": "x"}},
        {"sub": {"id": "9" * 5000}},
        {"sub": {"id": str(2**31)}},
        {"sub": {"id": "\N{ARABIC-INDIC DIGIT FIVE}"}},
        {"sub": {"id": "\N{SUPERSCRIPT TWO}"}},
        {"for": 1},
        {"type": ["recovery"]},
        {"iat": "now"},
        {"exp": 2**70},
    ],
)
def test_a_signed_mailed_token_with_unusable_claims_is_invalid(change):
    claims = read(tokens.issue_purpose_token(user(), tokens.PASSWORD))
    with pytest.raises(Invalid, match="Invalid recovery token!"):
        tokens.read_purpose_token(signed(**{**claims, **change}), tokens.PASSWORD)


def test_other_tokens_do_not_recover_anything():
    access, refresh = tokens.issue_pair(user())
    for text in (access, refresh, tokens.issue_container_token(CONTAINER, 0), "nonsense", ""):
        with pytest.raises(Invalid, match="Invalid recovery token!"):
            tokens.read_purpose_token(text, tokens.PASSWORD)


def test_a_token_that_was_good_a_moment_ago_expires_all_the_same(monkeypatch):
    """What it says is remembered, not that it is good."""
    text = signing.sign({"iat": 1000, "exp": 2000})
    monkeypatch.setattr(signing.time, "time", lambda: 1999.0)
    assert signing.verified(text) == signing.verified(text) == {"iat": 1000, "exp": 2000}
    monkeypatch.setattr(signing.time, "time", lambda: 2000.0)
    with pytest.raises(Expired):
        signing.verified(text)


def test_no_more_tokens_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(signing, "_MOST_KNOWN", 3)
    for number in range(10):
        assert signing.verified(signing.sign({"jti": number, "exp": 2**33}))["jti"] == number
        assert len(signing.keys().known) <= 3

"""The identity provider: where it is, with which keys it signs, and who logged in there.

OpenID Connect, authorization code flow with PKCE. Authlib speaks the protocol; what is here decides
what is believed, and sees to it that a provider that is gone or slow holds up nobody but those who
log in through it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, TypeVar

from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from v6srv import problems
from v6srv.errors import TooManyRequests, Unauthenticated, Unavailable
from v6srv.identity.attempts import shown
from v6srv.service.outside import Silent, as_it_is, converse
from v6srv.settings import Oidc, Settings, is_safe

Found = TypeVar("Found")

KEPT_S = 3600
"""How long what a provider says of itself is believed without asking again."""
PAUSE_S = 5
"""After it did not answer nobody waits for it for so long."""
MOST_AT_ONCE = 16
"""Conversations with it: each is a thread, and anybody can begin one."""

_PROBLEM = "identity provider"
_AWAY = "nobody can log in through the identity provider: it does not answer, or not as expected"
_REFUSES = "nobody can log in through the identity provider: it refuses this server as its client"
_OURS = ("invalid_client", "unauthorized_client")
"""Errors that are about this server, whoever logs in."""
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Person:
    """Who logged in there."""

    claims: Mapping[str, Any]
    id_token: str
    """What says so, signed by the provider."""


class Provider:
    """A provider as the settings have it, and what is known of it."""

    def __init__(self, config: Oidc, leeway_s: int) -> None:
        self.config = config
        self._leeway_s = leeway_s
        self._turns = BoundedSemaphore(MOST_AT_ONCE)
        self._silent_until = 0.0
        self._described: Mapping[str, Any] = {}
        self._keys = KeySet([])
        self._old_at = {"description": 0.0, "keys": 0.0}

    def login_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where a browser logs in. Raises Unavailable."""
        endpoint = self._description()["authorization_endpoint"]
        with self._client() as client:
            url, _ = client.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def logout_url(self, id_token: str | None) -> str | None:
        """Where a browser logs out; None when the provider has no such place. Raises Unavailable.

        `id_token`: of who logs out; without one the provider asks.
        """
        endpoint = self._description().get("end_session_endpoint")
        if not isinstance(endpoint, str) or not is_safe(endpoint):
            return None
        said = {
            "client_id": self.config.client_id,
            "id_token_hint": id_token,
            "post_logout_redirect_uri": self.config.logged_out_url,
        }
        return str(add_params_to_uri(endpoint, [(k, v) for k, v in said.items() if v]))

    def require_sender(self, issuer: str | None) -> None:
        """Raise Unauthenticated for an answer that another provider has given (RFC 9207)."""
        says = self._description().get("authorization_response_iss_parameter_supported") is True
        if issuer != self.config.issuer and (says or issuer is not None):
            raise Unauthenticated("This answer is of another identity provider")

    def who(self, code: str, verifier: str, nonce: str) -> Person:
        """Who logged in and came back with this code.

        Raises Unauthenticated for a code that is not good (any more) and for claims that are not to
        be believed, and Unavailable.
        """
        granted = self._exchange(code, verifier)
        text, access = granted.get("id_token"), granted.get("access_token")
        if not isinstance(text, str) or not isinstance(access, str):
            raise Unauthenticated("The identity provider does not say who you are")
        claims = self._verified(text, access, nonce)
        if self.config.claim not in claims and "userinfo_endpoint" in self._description():
            claims = {**self._more(access, claims["sub"]), **claims}
        return Person(claims, text)

    # --- what is asked

    def _description(self) -> Mapping[str, Any]:
        """What the provider says of itself; `issuer` and endpoints are as they must be."""
        if time.monotonic() >= self._old_at["description"]:
            where = f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._described = self._ask(lambda client: self._fit(_json(client, where)))
            self._old_at["description"] = time.monotonic() + KEPT_S
        return self._described

    def _fit(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        if said.get("issuer") != self.config.issuer:
            raise ValueError(f"it calls itself {shown(str(said.get('issuer')))}")
        for endpoint in (*_ENDPOINTS, *({"userinfo_endpoint"} & said.keys())):
            if not isinstance(said.get(endpoint), str) or not is_safe(said[endpoint]):
                raise ValueError(f"its {endpoint} is missing, or not https")
        return said

    def _new_keys(self) -> KeySet:
        where = self._description()["jwks_uri"]
        self._keys = self._ask(lambda client: _keys(_json(client, where)))
        self._old_at["keys"] = time.monotonic() + KEPT_S
        return self._keys

    def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        endpoint = self._description()["token_endpoint"]

        def exchange(client: OAuth2Session) -> Any:
            return client.fetch_token(
                endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=self.config.callback_url,
                allow_redirects=False,
            )

        try:
            granted: Mapping[str, Any] = self._ask(exchange, of_one=True)
        except OAuthError as error:
            if error.error not in _OURS:
                raise Unauthenticated(
                    "The identity provider does not know this log-in any more: begin again"
                ) from error
            problems.begin(_PROBLEM, _REFUSES, shown(str(error)))
            raise Unavailable("The identity provider refuses this server") from error
        problems.end(_PROBLEM)
        return granted

    def _more(self, access: str, subject: str) -> Mapping[str, Any]:
        """What the provider tells only when asked for it."""
        where = self._description()["userinfo_endpoint"]
        headers = {"Authorization": f"Bearer {access}"}
        told: Mapping[str, Any] = self._ask(
            lambda client: _json(client, where, headers), of_one=True
        )
        if told.get("sub") != subject:
            raise Unauthenticated("The identity provider speaks of somebody else")
        return told

    def _ask(self, question: Callable[[OAuth2Session], Found], *, of_one: bool = False) -> Found:
        """What comes of a conversation. Raises Unavailable, also at once if it was just so.

        `of_one`: about what a browser brought, which may be made up to have no answer: the others
        go on asking.
        """
        if time.monotonic() < self._silent_until:
            raise Unavailable("The identity provider does not answer", PAUSE_S)
        if not self._turns.acquire(blocking=False):
            raise TooManyRequests("Too many log in through the identity provider at once", 1)
        try:
            return converse(self._client(), question, self.config.timeout_s)
        except Silent as error:
            if not of_one:
                self._silent_until = time.monotonic() + PAUSE_S
            problems.begin(_PROBLEM, _AWAY, shown(str(error)))
            raise Unavailable("The identity provider does not answer", PAUSE_S) from error
        finally:
            self._turns.release()

    def _client(self) -> OAuth2Session:
        config, secret = self.config, self.config.client_secret
        known = self._described.get("token_endpoint_auth_methods_supported") or ()
        in_body = "client_secret_post" in known and "client_secret_basic" not in known
        how = "client_secret_post" if in_body else "client_secret_basic"
        return OAuth2Session(
            config.client_id,
            secret and secret.get_secret_value(),
            token_endpoint_auth_method=how if secret else "none",
            scope=" ".join(config.scopes),
            redirect_uri=config.callback_url,
            code_challenge_method="S256",
        )

    # --- what is believed

    def _verified(self, text: str, access: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that is for us, now, and for this log-in."""
        try:
            token = self._signed(text)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self.config.issuer},
                    "aud": {"essential": True, "value": self.config.client_id},
                },
                {"nonce": nonce, "client_id": self.config.client_id, "access_token": access},
            )
            claims.validate(leeway=self._leeway_s)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            reason = shown(str(error))
            raise Unauthenticated(f"The identity provider is not believed: {reason}") from error
        return dict(claims)

    def _signed(self, text: str) -> jwt.Token:
        """Signed with a key of the provider; they are read anew when it seems to have others."""
        only = [self.config.algorithm]
        how = JWSRegistry(algorithms=only)
        if self._keys and time.monotonic() < self._old_at["keys"]:
            try:
                return jwt.decode(text, self._keys, only, how)
            except (InvalidKeyIdError, BadSignatureError):
                pass
        return jwt.decode(text, self._new_keys(), only, how)


def of(settings: Settings) -> Provider | None:
    """The provider of a configuration, if it has one."""
    return Provider(settings.oidc, settings.clock_leeway_s) if settings.oidc else None


def failures(settings: Settings) -> Iterator[str]:
    """A line with the reason when the provider of a configuration cannot be used."""
    provider = of(settings)
    if provider is not None:
        try:
            provider.login_url("", "", "")
        except Unavailable as error:
            yield f"oidc: the identity provider cannot be used: {error.__cause__}"


def _json(
    client: OAuth2Session, url: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    answer = client.get(
        url, headers=headers, auth=as_it_is, withhold_token=True, allow_redirects=False
    )
    answer.raise_for_status()
    found = answer.json() if answer.status_code == 200 else None
    if not isinstance(found, dict):
        raise ValueError(f"{url} has no JSON object (status {answer.status_code})")
    return found


def _keys(said: Any) -> KeySet:
    try:
        return KeySet.import_key_set(said)
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError(f"its keys cannot be used: {error}") from error

"""VPN: configurations from an eduVPN portal, and where algorithms reach each other.

The dialogue with the portal is that of operations.md 6.3: log in as the portal's user, let that
user authorize this server (OAuth 2 code flow with PKCE), then ask the portal's API.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import joinedload

from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import let_go, session
from v6srv.errors import Invalid, NotSupported, Unavailable, Upstream
from v6srv.model import Port, Result, Task
from v6srv.settings import VpnServer, is_safe
from v6srv.vocabulary import Operation, Resource

TIMEOUT_S = (5, 20)
"""To connect, to answer."""

_KEY_PAIR = re.compile(r"<cert>.*</key>\r?\n?", re.DOTALL)
_KEYS_GO_BEFORE = "<tls-crypt>"


def portal(config: VpnServer | None) -> VpnServer:
    """The portal that the configuration names.

    Raises NotSupported when there is none, Upstream when it is not reached through https.
    """
    if config is None:
        raise NotSupported("This server does not support VPN")
    if not is_safe(config.url):
        raise Upstream("The VPN portal of this server must be reached through https")
    return config


def new_config(portal: VpnServer) -> str:
    """An OpenVPN configuration with a fresh key pair.

    Raises Unavailable when the portal cannot be reached, Upstream when it refuses.
    """
    with _Dialogue(portal) as dialogue:
        profile_id = dialogue.first_profile()
        return _with_keys(dialogue.profile_config(profile_id), dialogue.key_pair())


def renew_keys(portal: VpnServer, config: str) -> str:
    """The same OpenVPN configuration with a fresh key pair. Raises as `new_config` does."""
    if _KEYS_GO_BEFORE not in config:
        raise Invalid("vpn_config is not an OpenVPN configuration of this server!")
    with _Dialogue(portal) as dialogue:
        return _with_keys(_KEY_PAIR.sub("", config), dialogue.key_pair())


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running algorithm listens inside the VPN."""

    port: int | None
    label: str | None
    ip: str | None
    """VPN address of the node that runs it; None while it has none."""
    organization_id: int | None
    task_id: int | None
    parent_id: int | None


@dataclass(frozen=True, slots=True)
class Relatives:
    """Whose addresses are asked for, besides or instead of those of the own task."""

    only_children: bool = False
    only_parent: bool = False
    only_siblings: bool = False
    """The own task at other organizations."""
    only_self: bool = False
    """The own task at the own organization."""
    include_children: bool = False
    include_parent: bool = False

    def __post_init__(self) -> None:
        only = ("only_children", "only_parent", "only_siblings", "only_self")
        for one, other in (
            *combinations(only, 2),
            ("only_children", "include_parent"),
            ("only_parent", "include_children"),
        ):
            if getattr(self, one) and getattr(self, other):
                raise Invalid(f"{one} and {other} cannot be combined!")


def addresses(
    who: Principal,
    authz: Authorizer,
    rows: AllowedRows,
    relatives: Relatives,
    label: str | None = None,
) -> list[Address]:
    """The addresses of the container's own task, its children or its parent, by port id.

    `rows` are the ports that the container may view, `label` keeps those with this label. Asked for
    the parent only, a task without one gets its own. Raises Denied for who runs no task.
    """
    if who.task_id is None:
        raise authz.refusal(who, Resource.PORT, Operation.VIEW)
    parent_id = session.scalar(select(Task.parent_id).where(Task.id == who.task_id))
    wanted: list[ColumnElement[bool]] = []
    if relatives.only_children or relatives.include_children:
        wanted.append(Task.parent_id == who.task_id)
    if (relatives.only_parent or relatives.include_parent) and parent_id is not None:
        wanted.append(Task.id == parent_id)
    if not relatives.only_children and not (relatives.only_parent and parent_id is not None):
        wanted.append(and_(Task.id == who.task_id, *_limits(who, relatives)))
    rows = rows.where(
        exists().where(Result.id == Port.result_id, Task.id == Result.task_id, or_(*wanted))
    ).options(
        joinedload(Port.result_row).undefer(Result.node_rows),
        joinedload(Port.result_row).joinedload(Result.task),
    )
    if label is not None:
        rows = rows.where(Port.label == label)
    return [_address(port) for port in session.scalars(rows.select, rows.parameters).unique()]


def _limits(who: Principal, relatives: Relatives) -> Iterator[ColumnElement[bool]]:
    """At which organizations the own task is asked for."""
    if relatives.only_siblings:
        yield Result.organization_id != who.organization_id
    if relatives.only_self:
        yield Result.organization_id == who.organization_id


def _address(port: Port) -> Address:
    result = port.result_row
    assert result is not None  # the condition above asked for both
    assert result.task is not None
    ip = result.node_rows[0][3] if result.node_rows else None
    task = result.task
    return Address(port.port, port.label, ip, result.organization_id, task.id, task.parent_id)


class _Dialogue:
    """One authorized conversation with the portal."""

    def __init__(self, portal: VpnServer) -> None:
        self.portal = portal
        self.url = portal.url.rstrip("/")
        self.http = requests.Session()
        self.access_token: str | None = None

    def __enter__(self) -> "_Dialogue":
        let_go()  # the portal may take its time: no transaction waits for it
        self._log_in()
        verifier = secrets.token_hex(32)
        self.access_token = self._token(self._code(verifier), verifier)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def first_profile(self) -> str:
        answer = self._json(self._call("GET", "/api.php/profile_list"))
        return str(_at(answer, "profile_list", "data", 0, "profile_id"))

    def profile_config(self, profile_id: str) -> str:
        answer = self._call("GET", "/api.php/profile_config", params={"profile_id": profile_id})
        if _KEYS_GO_BEFORE not in answer.text:
            raise Upstream("The VPN portal sent no usable configuration")
        return answer.text

    def key_pair(self) -> tuple[str, str]:
        answer = self._json(self._call("POST", "/api.php/create_keypair"))
        data = _at(answer, "create_keypair", "data")
        return str(_at(data, "certificate")), str(_at(data, "private_key"))

    def _log_in(self) -> None:
        form = {
            "userName": self.portal.portal_username,
            "userPass": self.portal.portal_userpass.get_secret_value(),
            "_form_auth_redirect_to": self.url,
        }
        self._call("POST", "/_form/auth/verify", data=form)

    def _code(self, verifier: str) -> str:
        digest = hashlib.sha256(verifier.encode()).digest()
        state = secrets.token_urlsafe(32)
        answer = self._call(
            "GET",
            "/_oauth/authorize",
            params={
                "client_id": self.portal.client_id,
                "redirect_uri": self.portal.redirect_url,
                "response_type": "code",
                "scope": "config",
                "state": state,
                "code_challenge_method": "S256",
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            },
            allow_redirects=False,
        )
        target = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
        if target.get("state", [state]) != [state]:
            raise Upstream("The VPN portal answered another request than ours")
        code = target.get("code")
        if not code:
            raise Upstream("The VPN portal refuses the user of this server")
        return code[0]

    def _token(self, code: str, verifier: str) -> str:
        secret = self.portal.client_secret.get_secret_value()
        answer = self._call(
            "POST",
            "/oauth.php/token",
            data={
                "code": code,
                "grant_type": "authorization_code",
                "redirect_uri": self.portal.redirect_url,
                "client_id": self.portal.client_id,
                "client_secret": secret,
                "code_verifier": verifier,
            },
            auth=(self.portal.client_id, secret),
        )
        return str(_at(self._json(answer), "access_token"))

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        if self.access_token is not None:
            options["headers"] = {"Authorization": f"Bearer {self.access_token}"}
        try:
            answer = self.http.request(method, self.url + path, timeout=TIMEOUT_S, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unavailable("The VPN portal cannot be reached") from error
        except requests.RequestException as error:
            raise Upstream("The VPN portal does not answer as expected") from error
        if answer.status_code >= 400:
            raise Upstream(f"The VPN portal refuses this server (status {answer.status_code})")
        return answer

    @staticmethod
    def _json(answer: requests.Response) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise Upstream("The VPN portal does not answer as expected") from error


def _at(value: Any, *path: str | int) -> Any:
    """What stands at this path in a JSON value; Upstream when there is nothing."""
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError) as error:
        raise Upstream("The VPN portal does not answer as expected") from error
    return value


def _with_keys(config: str, pair: tuple[str, str]) -> str:
    certificate, private_key = pair
    keys = f"<cert>\n{certificate}\n</cert>\n<key>\n{private_key}\n</key>\n"
    before, marker, after = config.partition(_KEYS_GO_BEFORE)
    return f"{before}{keys}{marker}{after}"

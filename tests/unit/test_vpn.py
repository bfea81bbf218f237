"""The dialogue with an eduVPN portal (operations.md 6.3), against a portal that is really served."""

import base64
import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from v6srv.errors import Invalid, NotSupported, Unavailable, Upstream
from v6srv.service import vpn
from v6srv.settings import VpnServer

PROFILE = "client\nremote vpn.example 1194\n<ca>\nCA\n</ca>\n<tls-crypt>\nTC\n</tls-crypt>\n"
OLD = PROFILE.replace("<tls-crypt>", "<cert>\nOLD\n</cert>\n<key>\nOLDKEY\n</key>\n<tls-crypt>")
NEW = PROFILE.replace("<tls-crypt>", "<cert>\nCERT 1\n</cert>\n<key>\nKEY 1\n</key>\n<tls-crypt>")


class Portal(ThreadingHTTPServer):
    """Checks what it is told like the real one; `refuse` names paths that answer with 403."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.challenges = {}
        self.pairs = 0
        self.refuse = set()
        self.answers = {}
        self.wrong_state = False


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, value):
        self.answer(200, json.dumps(value).encode())

    def handle_request(self, form):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.calls.append(f"{self.command} {url.path}")
        if url.path in self.server.refuse:
            return self.answer(403)
        if url.path in self.server.answers:
            return self.answer(200, self.server.answers[url.path])
        match url.path:
            case "/_form/auth/verify":
                right = form.get("userName") == "robot" and form.get("userPass") == "secret"
                assert form["_form_auth_redirect_to"].startswith("http://127.0.0.1")
                return self.answer(200, Set_Cookie=f"user={'robot' if right else ''}; Path=/")
            case "/_oauth/authorize":
                if "user=robot" not in self.headers.get("Cookie", ""):
                    return self.answer(200, b"<html>log in</html>")
                assert query["response_type"] == "code"
                assert query["scope"] == "config"
                assert query["code_challenge_method"] == "S256"
                self.server.challenges["the code"] = query["code_challenge"]
                state = "wrong" if self.server.wrong_state else query["state"]
                target = (
                    f"{query['redirect_uri']}?{urlencode({'code': 'the code', 'state': state})}"
                )
                return self.answer(302, Location=target)
            case "/oauth.php/token":
                digest = hashlib.sha256(form["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                basic = base64.b64encode(b"client:hush").decode()
                if (
                    challenge != self.server.challenges.get(form["code"])
                    or self.headers.get("Authorization") != f"Basic {basic}"
                    or form["grant_type"] != "authorization_code"
                ):
                    return self.answer(400)
                return self.json({"access_token": "bearer me", "token_type": "bearer"})
        if self.headers.get("Authorization") != "Bearer bearer me":
            return self.answer(401)
        match url.path:
            case "/api.php/profile_list":
                return self.json({"profile_list": {"data": [{"profile_id": "internet"}]}})
            case "/api.php/profile_config":
                assert query == {"profile_id": "internet"}
                return self.answer(200, PROFILE.encode())
            case "/api.php/create_keypair":
                self.server.pairs += 1
                data = {
                    "certificate": f"CERT {self.server.pairs}",
                    "private_key": f"KEY {self.server.pairs}",
                }
                return self.json({"create_keypair": {"ok": True, "data": data}})
        return self.answer(404)

    def do_GET(self):
        self.handle_request({})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.handle_request({name: values[0] for name, values in parse_qs(body).items()})


@pytest.fixture
def served():
    server = Portal()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def config(port, **changes):
    values = {
        "url": f"http://127.0.0.1:{port}/",
        "redirect_url": "http://localhost",
        "client_id": "client",
        "client_secret": "hush",
        "portal_username": "robot",
        "portal_userpass": "secret",
    }
    return VpnServer(**{**values, **changes})


def test_a_new_configuration_gets_a_key_pair_before_the_tls_crypt_block(served):
    assert vpn.new_config(vpn.portal(config(served.server_port))) == NEW
    assert served.calls == [
        "POST /_form/auth/verify",
        "GET /_oauth/authorize",
        "POST /oauth.php/token",
        "GET /api.php/profile_list",
        "GET /api.php/profile_config",
        "POST /api.php/create_keypair",
    ]


@pytest.mark.parametrize("old", [OLD, PROFILE, OLD.replace("\n", "\r\n")])
def test_an_update_replaces_the_key_pair_and_nothing_else(served, old):
    renewed = vpn.renew_keys(vpn.portal(config(served.server_port)), old)
    assert renewed.replace("\r\n", "\n") == NEW
    assert "GET /api.php/profile_list" not in served.calls


def test_an_update_of_something_else_is_refused_before_the_portal_is_asked(served):
    with pytest.raises(Invalid):
        vpn.renew_keys(vpn.portal(config(served.server_port)), "no configuration")
    assert served.calls == []


def test_without_configuration_vpn_is_not_supported():
    with pytest.raises(NotSupported, match="This server does not support VPN"):
        vpn.portal(None)


def test_a_portal_elsewhere_must_be_reached_through_https():
    with pytest.raises(Upstream, match="https"):
        vpn.portal(config(1, url="http://vpn.example"))


def test_a_wrong_portal_user_is_refused(served):
    with pytest.raises(Upstream, match="user of this server"):
        vpn.new_config(vpn.portal(config(served.server_port, portal_userpass="wrong")))


def test_an_answer_to_another_request_is_not_accepted(served):
    served.wrong_state = True
    with pytest.raises(Upstream, match="another request"):
        vpn.new_config(vpn.portal(config(served.server_port)))


@pytest.mark.parametrize(
    "path",
    [
        "/_form/auth/verify",
        "/_oauth/authorize",
        "/oauth.php/token",
        "/api.php/profile_list",
        "/api.php/profile_config",
        "/api.php/create_keypair",
    ],
)
def test_a_portal_that_refuses_or_talks_nonsense_is_an_upstream_error(served, path):
    served.refuse = {path}
    with pytest.raises(Upstream):
        vpn.new_config(vpn.portal(config(served.server_port)))
    if path != "/_form/auth/verify":  # whose answer is not read
        served.refuse = set()
        served.answers = {path: b'{"unexpected": []}'}
        with pytest.raises(Upstream):
            vpn.new_config(vpn.portal(config(served.server_port)))


def test_a_portal_that_is_not_there_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable):
        vpn.new_config(vpn.portal(config(port)))


@pytest.mark.parametrize(
    "flags",
    [
        {"only_children": True, "only_parent": True},
        {"only_children": True, "include_parent": True},
        {"only_parent": True, "include_children": True},
    ],
)
def test_contradicting_relatives_are_refused(flags):
    with pytest.raises(Invalid):
        vpn.Relatives(**flags)

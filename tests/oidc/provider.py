"""An identity provider, made of Authlib's server side: a process of its own, spoken to over HTTP.

`python -m tests.oidc.provider PORT`. Everybody is logged in there as whoever `login_hint` of the mood
says. `POST /mood` changes how it behaves until it is changed again: see `CALM`.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from typing import Any

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from flask import Flask, abort, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

CLIENT, SECRET = "v6srv", "a secret of the client"

CALM: dict[str, Any] = {
    "person": {"sub": "1", "email": "viewer@north.example", "email_verified": True},
    "claims": {},  # of the ID token, over what would be in it; null takes one away
    "signing": "RS256",  # or none, HS256 (with the public key as its secret), stranger
    "userinfo": {},
    "description": {},
    "delay_s": 0.0,
    "broken": {},  # path: status, instead of an answer
    "body": None,  # of the token endpoint, instead of its answer
    "iss": None,  # beside the code
    "secret": SECRET,
}


class Client(ClientMixin):
    def get_client_id(self) -> str:
        return CLIENT

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == provider.callback

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == provider.mood["secret"]

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):
    def __init__(self, code: str, asked: Any) -> None:
        data = asked.payload.data
        self.code, self.redirect_uri = code, asked.payload.redirect_uri
        self.scope, self.nonce = asked.payload.scope, data.get("nonce")
        self.code_challenge = data["code_challenge"]
        self.code_challenge_method = data["code_challenge_method"]

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None: ...

    def get_amr(self) -> None: ...


class Grant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code: str, request: Any) -> None:
        provider.codes[code] = Code(code, request)

    def query_authorization_code(self, code: str, client: Any) -> Code | None:
        return provider.codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del provider.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
        return provider.mood["person"]


class IdToken(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in provider.codes.values())

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": provider.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            **self.get_authorization_code_claims(request.authorization_code),
            **request.user,
            **provider.mood["claims"],
        }
        return provider.sign({name: value for name, value in claims.items() if value is not None})


class Provider:
    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realm"
        self.callback = ""
        self.codes: dict[str, Code] = {}
        self.asked: list[str] = []
        self.turn = 0
        self.out: set[str] = set()
        self.calm()
        self.rotate()

    def calm(self) -> None:
        self.mood = {**CALM}
        self.out = set()

    def rotate(self) -> None:
        self.turn += 1
        self.key = RSAKey.generate_key(2048, {"kid": f"key {self.turn}", "use": "sig"})

    def sign(self, claims: dict[str, Any]) -> str:
        from joserfc import jwt

        header = {"alg": "RS256", "kid": self.key.kid}
        match self.mood["signing"]:
            case "none":
                return _parts({"alg": "none"}, claims) + "."
            case "HS256":
                text = _parts({"alg": "HS256", "kid": self.key.kid}, claims)
                secret = self.key.as_pem(private=False)
                return f"{text}.{_encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"
            case "stranger":
                return jwt.encode(header, claims, RSAKey.generate_key(2048))
            case alg:
                return jwt.encode({**header, "alg": alg}, claims, self.key, [alg])


def _parts(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


app = Flask(__name__)
server = AuthorizationServer(app, lambda _id: Client(), lambda token, request: None)
server.register_grant(Grant, [IdToken(require_nonce=True), CodeChallenge(required=True)])
provider: Provider


@app.before_request
def _mood() -> None:
    if request.path != "/mood":
        provider.asked.append(request.path)
        time.sleep(provider.mood["delay_s"])
        if status := provider.mood["broken"].get(request.path):
            abort(status)


@app.post("/mood")
def change() -> Any:
    """Be calm again but for what is sent; `rotate` and `callback` are no mood."""
    asked = request.get_json()
    provider.callback = asked.pop("callback", provider.callback)
    if asked.pop("rotate", False):
        provider.rotate()
    heard, provider.asked = provider.asked, []
    provider.calm()
    provider.mood.update(asked)
    return jsonify(asked=heard)


@app.get("/realm/.well-known/openid-configuration")
def description() -> Any:
    own = provider.issuer
    said = {
        "issuer": own,
        "authorization_endpoint": f"{own}/authorize",
        "token_endpoint": f"{own}/token",
        "jwks_uri": f"{own}/keys",
        "userinfo_endpoint": f"{own}/userinfo",
        "end_session_endpoint": f"{own}/logout?ui=1",
        "code_challenge_methods_supported": ["S256"],
    }
    return jsonify({**said, **provider.mood["description"]})


@app.get("/realm/keys")
def keys() -> Any:
    return jsonify(KeySet([provider.key]).as_dict(private=False))


@app.get("/realm/logout")
def logout() -> Any:
    """Who has a hint is logged out; others are asked."""
    from joserfc import jwt

    assert request.args["client_id"] == CLIENT
    hint = request.args.get("id_token_hint")
    if hint is None:
        return "Do you want to log out?"
    provider.out.add(jwt.decode(hint, provider.key).claims["sub"])
    return jsonify(then=request.args.get("post_logout_redirect_uri"), ui=request.args["ui"])


@app.get("/realm/authorize")
def authorize() -> Any:
    if provider.mood["person"]["sub"] in provider.out:
        return "Who are you?"
    grant = server.get_consent_grant(end_user=provider.mood["person"])
    answer = server.create_authorization_response(grant=grant, grant_user=provider.mood["person"])
    if provider.mood["iss"]:
        answer.headers["Location"] += f"&iss={provider.mood['iss']}"
    return answer


@app.post("/realm/token")
def token() -> Any:
    answer = server.create_token_response()
    return answer if provider.mood["body"] is None else provider.mood["body"]


@app.get("/realm/userinfo")
def userinfo() -> Any:
    assert request.headers["Authorization"].startswith("Bearer ")
    return jsonify(provider.mood["userinfo"])


class Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None: ...


if __name__ == "__main__":
    provider = Provider(int(sys.argv[1]))
    make_server(
        "127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Quiet
    ).serve_forever()

"""What an identity provider sends browsers back with, and what they get then."""

from marshmallow import fields, validate

from v6srv.wire.base import Input, Text
from v6srv.wire.token import TokensOut


class ProviderAnswer(Input):
    """The answer of an authorization endpoint (OpenID Connect, RFC 9207)."""

    state = Text()
    code = Text(validate=validate.Regexp(r"[ -~]{1,3000}\Z"))  # RFC 6749, appendix A.11
    error = Text()
    iss = Text()


class ArrivalOut(TokensOut):
    """A pair of tokens, and a password that lets a program in once."""

    username = fields.String()
    one_time_password = fields.String(
        metadata={
            "description": "With `username`, for `POST /token/user` of a program that wants a"
            " password: good once, for five minutes"
        }
    )

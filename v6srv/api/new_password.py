"""The password of an account that is to be made: hashed before the transaction begins."""

from typing import Any

from flask import request

from v6srv import passwords


def sealed_password() -> dict[str, Any]:
    """The hash of the password in the body; None of one that breaks a rule, which is said later."""
    body = request.get_json(silent=True)
    text = body.get("password") if isinstance(body, dict) else None
    fits = isinstance(text, str) and passwords.password_problem(text) is None
    return {"sealed": passwords.seal(text) if fits else None}

"""The helpers at the prompt of `v6srv shell`."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from v6srv.cli.main import cli

SESSION = """
root = User.get_by_username("root")
root.firstname = "Ada"
root.save()
print("known", Collaboration.name_exists("registry"), Organization.get_by_name("root").get_result_ids())
print("set", set_password(root, "short") is not None, set_password(root, "An0ther-Pass!"))
root.save()
root.password = "Cl3ar-Text!"
print("kept", check_password(root, "An0ther-Pass!"))
User(username="new", password="Cl3ar-Text!")
User(username="12")
Collaboration(name="12")
Node(api_key="0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01")
session.remove()
print("stored", User.get(1).firstname, check_password(User.get(1), "An0ther-Pass!"))
print("can", can(User.get(1), "node", "global", "delete"))
root = User.get(1)
root.otp_secret = root.recovered_at = None
root.end_tokens()
root.save()
print("ended", User.get(1).token_version)
User.help()
"""


def test_the_helpers_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("V6SRV_")]:
        monkeypatch.delenv(name)
    runner = CliRunner(env={"V6SRV_INSTANCE": str(tmp_path / "instance")})
    result = runner.invoke(cli, ["shell"], input=SESSION)
    assert result.exit_code == 0, result.output
    for line in (
        "known False []",
        "set True None",
        "kept True",
        "stored Ada True",
        "can True",
        "ended 2",
    ):
        assert line in result.output
    # 3.x hashed what was assigned; to store it in clear would be worse than to refuse.
    assert result.output.count("Invalid: This is stored as a hash") == 3
    assert result.output.count("Invalid: username: Must not be a number") == 1
    assert result.output.count("Invalid: name: Must not be a number") == 1
    assert "\n  get_by_username(username): " in result.output

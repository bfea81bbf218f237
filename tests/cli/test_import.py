"""`v6srv import`: all or nothing, repeatable, and usable right after."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import text

from tests.live import live_server
from v6srv.cli.main import cli
from v6srv.db import make_engine

EXAMPLE = Path(__file__).parents[2] / "examples" / "study.yaml"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run a command on an instance of this test."""

    def invoke(*arguments: str, **environment: str) -> Result:
        variables = {
            "V6SRV_INSTANCE": str(tmp_path / "instance"),
            "V6SRV_ROOT_PASSWORD": "Root-pass-1",
            "V6SRV_PASSWORD_ROUNDS": "4",
            **environment,
        }
        return CliRunner(env=variables).invoke(cli, [str(a) for a in arguments])

    return invoke


def _changed(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    document = yaml.safe_load(EXAMPLE.read_text())
    change(document)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def _names(tmp_path: Path, run: Callable[..., Result]) -> list[str]:
    with live_server(instance=tmp_path / "instance", V6SRV_ROOT_PASSWORD="Root-pass-1") as server:
        root = server.login("root", "Root-pass-1")
        rows = requests.get(f"{server.api}/organization", headers=root, timeout=5).json()
        return [row["name"] for row in rows]


def test_the_example_is_ready_for_work(tmp_path: Path, run: Callable[..., Result]) -> None:
    result = run("import", str(EXAMPLE))
    assert result.exit_code == 0, result.output
    with live_server(instance=tmp_path / "instance") as server:
        nora = server.login("nora", "Str0ng-Pass!")
        [study] = requests.get(f"{server.api}/collaboration", headers=nora, timeout=5).json()
        assert study["name"] == "Registry Study"
        assert study["encrypted"] is False
        key = {"api_key": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01"}
        assert requests.post(f"{server.api}/token/node", json=key, timeout=5).status_code == 200
        me = requests.get(f"{server.api}/user/2", headers=nora, timeout=5).json()
        names = {
            requests.get(f"{server.url}{role['link']}", headers=nora, timeout=5).json()["name"]
            for role in me["roles"]
        }
        assert names == {"Organization Admin", "Researcher"}


# What 3.11.1's generator of demo networks, its tests and old exports write.
IN_USE = """
nodes: []
organizations:
  - {id: 2, name: Northwind Hospital, domain: northwind.example, address1: a, address2: , zipcode: 1,
     country: DE, public_key: ""}
  - id: 3
    name: Southgate Clinic
    users:
      - {id: 9, username: soren, password: Str0ng-Pass!}
collaborations:
  - id: 1
    name: demo
    domain: northwind.example
    address1: a
    address2:
    zipcode: 1
    country: DE
    encrypted: false
    participants:
      - {name: Northwind Hospital, api_key: 0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01}
      - {id: 4, name: Southgate Clinic, api_key: 0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e02}
    tasks: ["hello-world"]
"""


def test_a_file_of_3x_is_taken_and_what_it_does_not_mean_is_said(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    path = tmp_path / "in-use.yaml"
    path.write_text(IN_USE)
    result = run("import", str(path))
    assert result.exit_code == 0, result.output
    for said in (
        "in-use.yaml:2:1: nodes has no meaning here",
        "organizations[0]: id has no meaning here (2 times)",
        "organizations[1].users[0]: id has no meaning here",
        "collaborations[0]: domain has no meaning here",
        "collaborations[0].participants[1]: id has no meaning here",
        "users whose roles the file does not name: 1. Each has the role super, which holds every",
        "added: 2 x organization, 1 x user, 1 x collaboration, 2 x node, 1 x task",
    ):
        assert said in result.output
    assert "Str0ng-Pass!" not in result.output
    assert "0d3f3a1c9e01" not in result.output
    with live_server(instance=tmp_path / "instance") as server:
        soren = server.login("soren", "Str0ng-Pass!")
        roles = requests.get(f"{server.api}/role", headers=soren, timeout=5).json()
        [super_] = [role for role in roles if role["name"] == "super"]
        assert len(super_["rules"]) == 53
    with make_engine(f"sqlite:///{tmp_path}/instance/v6srv.sqlite").connect() as connection:
        databases = connection.execute(text("SELECT task_id, label FROM task_database"))
        assert [tuple(row) for row in databases] == [(1, "default")]


def _roles(*names: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["organizations"][0]["users"][0]["roles"] = names[0] if len(names) == 1 else names

    return change


def test_no_roles_are_none(tmp_path: Path, run: Callable[..., Result]) -> None:
    path = _changed(tmp_path, _roles([]))
    assert run("import", str(path)).exit_code == 0
    with live_server(instance=tmp_path / "instance") as server:
        nora = server.login("nora", "Str0ng-Pass!")
        assert requests.get(f"{server.api}/task", headers=nora, timeout=5).status_code == 403


def test_a_repeated_import_adds_nothing(run: Callable[..., Result]) -> None:
    assert run("import", str(EXAMPLE)).exit_code == 0
    again = run("import", str(EXAMPLE))
    assert again.exit_code == 0
    assert "exists already: user nora" in again.output
    assert "added: nothing" in again.output


def _bad_key(document: dict[str, Any]) -> None:
    document["collaborations"][0]["participants"][0]["api_key"] = "not-a-uuid"


def _stranger(document: dict[str, Any]) -> None:
    document["collaborations"][0]["participants"][0]["name"] = "Nobody Known"


def _no_name(document: dict[str, Any]) -> None:
    del document["collaborations"][0]["participants"][1]["name"]


def _unknown_key(document: dict[str, Any]) -> None:
    document["organizations"][0]["colour"] = "blue"


def _same_user(document: dict[str, Any]) -> None:
    document["organizations"][1]["users"][0]["username"] = "nora"


def _bad_public_key(document: dict[str, Any]) -> None:
    document["organizations"][0]["public_key"] = "***"


def _same_email(document: dict[str, Any]) -> None:
    document["organizations"][1]["users"][0]["email"] = "nora@northwind.example"


def _same_participant(document: dict[str, Any]) -> None:
    document["collaborations"][0]["participants"][1]["name"] = "Northwind Hospital"


def _old_key(document: dict[str, Any]) -> None:
    one = document["collaborations"][0]["participants"][0]
    one["api-key"] = one.pop("api_key")


def _same_organization(document: dict[str, Any]) -> None:
    document["organizations"].append({"name": "Northwind Hospital"})


def _same_collaboration(document: dict[str, Any]) -> None:
    document["collaborations"].append({"name": "Registry Study"})


def _same_api_key(document: dict[str, Any]) -> None:
    first, second = document["collaborations"][0]["participants"]
    second["api_key"] = first["api_key"]


def _no_image(document: dict[str, Any]) -> None:
    document["collaborations"][0]["tasks"] = [""]


def _half_encrypted(document: dict[str, Any]) -> None:
    document["collaborations"][0]["encrypted"] = 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_bad_key, "participants[0]: api_key is not a valid UUID in lower case"),
        (_stranger, "participant Nobody Known is neither"),
        (_no_name, "participants[1]: name is missing"),
        (_unknown_key, "unknown key colour"),
        (_old_key, "participants[0]: unknown key api-key, did you mean api_key?"),
        (_roles("Resarcher"), "user nora: there is no role Resarcher, did you mean Researcher?"),
        (_roles("admin"), "user nora: there is no role admin"),
        (_roles(None), "users[0]: roles: a list of names is expected, [] for none"),
        (_roles(["Viewer", "Viewer"]), "users[0]: role Viewer is named twice"),
        (_same_organization, "organization Northwind Hospital is named twice"),
        (_same_collaboration, "collaboration Registry Study is named twice"),
        (_same_api_key, "participants[1]: has the API key of collaborations[0].participants[0]"),
        (_same_user, "user nora is named twice"),
        (_bad_public_key, "not valid base64"),
        (_same_email, "email nora@northwind.example is named twice"),
        (_same_participant, "participant Northwind Hospital is named twice"),
        (_no_image, "tasks[0]: an image is missing"),
        (_half_encrypted, "encrypted: true or false is expected"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_stored(
    tmp_path: Path,
    run: Callable[..., Result],
    change: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    result = run("import", str(_changed(tmp_path, change)))
    assert result.exit_code == 1
    assert said in result.output
    assert "Str0ng-Pass!" not in result.output
    assert _names(tmp_path, run) == ["root"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('organizations: [{name: "\\ud800"}]', "broken.yaml:1:27: "),  # no UTF-8
        ('organizations: [{name: "a\\0b"}]', "broken.yaml:1:24: "),  # PostgreSQL stores none
        ("organizations: []\norganizations: []", "broken.yaml:2:1: 'organizations' is given twice"),
        ("[" * 3000, "nested too deeply"),
        ("organizations: [\n  password: hush: x", "broken.yaml:2:"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_quoting_it(
    tmp_path: Path, run: Callable[..., Result], text: str, said: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    result = run("import", str(path))
    assert result.exit_code == 1
    assert f"[error] - {path.name}" in result.output
    assert said in result.output
    assert "hush" not in result.output
    assert not (tmp_path / "instance").exists()


def test_text_is_stored_as_it_is_written(tmp_path: Path, run: Callable[..., Result]) -> None:
    """YAML alone would read the zip code as an octal number and Norway as false."""
    path = tmp_path / "written.yaml"
    path.write_text("""
organizations:
  - {name: 1_0, domain: 12:30, address1: 10.10, address2: 2024-01-01, zipcode: 01067, country: NO,
     users: [{username: 0_7, password: 0123456, firstname: yes, lastname: 1e3}]}
collaborations:
  - {name: open, encrypted: no}
  - {name: unsaid}
  - {name: closed, encrypted: "True"}
""")
    result = run("import", str(path))
    assert result.exit_code == 0, result.output
    with live_server(instance=tmp_path / "instance") as server:
        agent = server.login("0_7", "0123456")
        me = requests.get(f"{server.api}/user/2", headers=agent, timeout=5).json()
        assert (me["firstname"], me["lastname"]) == ("yes", "1e3")
        [mine] = requests.get(
            f"{server.api}/organization?name=1_0", headers=agent, timeout=5
        ).json()
        assert [mine[key] for key in ("domain", "address1", "address2", "zipcode", "country")] == [
            *("12:30", "10.10", "2024-01-01", "01067", "NO")
        ]
        rows = requests.get(f"{server.api}/collaboration", headers=agent, timeout=5).json()
        assert {row["name"]: row["encrypted"] for row in rows} == {
            "open": False,
            "unsaid": True,
            "closed": True,
        }


def test_an_email_of_another_user_is_refused(tmp_path: Path, run: Callable[..., Result]) -> None:
    """root has one too: with --drop-all it is told before everything is gone."""

    def change(document: dict[str, Any]) -> None:
        document["organizations"][0]["users"][0]["email"] = "root@domain.ext"

    assert run("import", str(EXAMPLE)).exit_code == 0
    taken = _changed(tmp_path, change)
    refused = run("import", str(taken), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
    assert refused.exit_code == 1
    assert "the email root@domain.ext of nora belongs to another user" in refused.output
    assert len(_names(tmp_path, run)) == 3
    fresh = run("import", str(taken), V6SRV_INSTANCE=str(tmp_path / "fresh"))
    assert fresh.exit_code == 1
    assert "the email root@domain.ext of nora belongs to another user" in fresh.output


SECOND = """
organizations:
  - name: Northwind Hospital
    users:
      - {username: NORA, password: Str0ng-Pass!, email: n2@x.example}
      - {username: ann, password: Str0ng-Pass!, email: Nora@Northwind.example}
      - {username: ben, password: Str0ng-Pass!, roles: [Viewr]}
      - {username: ROOT, password: weak}
  - name: Westfield Institute
collaborations:
  - name: Second Study
    participants:
      - {name: Nobody Known, api_key: 0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e09}
      - {name: Westfield Institute, api_key: 0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01}
"""


def test_all_that_contradicts_the_database_is_told_with_its_place(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    assert run("import", str(EXAMPLE)).exit_code == 0
    path = tmp_path / "second.yaml"
    path.write_text(SECOND)
    result = run("import", str(path))
    assert result.exit_code == 1
    for said in (
        "second.yaml:5:10: the name of user NORA differs from another user's by case only",
        "second.yaml:6:49: the email Nora@Northwind.example of ann belongs to another user",
        "second.yaml:7:49: user ben: there is no role Viewr, did you mean Viewer?",
        "second.yaml:8:10: the name of user ROOT differs from another user's by case only",
        "second.yaml:13:10: collaboration Second Study: participant Nobody Known is neither",
        "second.yaml:14:37: the API key of Westfield Institute - Second Study Node belongs to",
    ):
        assert said in result.output
    assert len(_names(tmp_path, run)) == 3
    # With --drop-all most of it stops the import before everything is gone.
    refused = run("import", str(path), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
    assert refused.exit_code == 1
    assert "second.yaml:8:10: the name of user ROOT differs from" in refused.output
    assert len(_names(tmp_path, run)) == 3


def test_all_that_breaks_a_rule_is_told_with_its_place(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(r"""
defaults: &defaults {firstname: "two\nlines", password: weak}
organizations:
  - name: " North"
    users:
      - <<: *defaults
        username: nora
      - username: Nora
        password: weak
        email: nowhere
      - username: ann
        password: weak
        email: A@x.example
      - username: ben
        password: weak
        email: a@x.example
collaborations:
  - name: "bell\a"
  - name: 0012
""")
    result = run("import", str(path))
    assert result.exit_code == 1
    for said in (
        "bad.yaml:2:1: unknown key defaults",
        "bad.yaml:4:5: organizations[0]: name: Empty, or with blanks around it",
        "bad.yaml:2:22: organizations[0].users[0]: firstname: Control characters are not allowed.",
        "bad.yaml:8:9: organizations[0].users[1]: user Nora and nora are the same but for their",
        "bad.yaml:10:9: organizations[0].users[1]: email: Not a valid email address.",
        "bad.yaml:16:9: organizations[0].users[3]: email a@x.example and A@x.example are the same",
        "bad.yaml:18:5: collaborations[0]: name: Empty, or with blanks around it",
        "bad.yaml:19:5: collaborations[1]: name: Must not be a number",
    ):
        assert said in result.output


def test_numbers_are_text_and_a_missing_key_is_no_key(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["organizations"][0].update(zipcode=10115, public_key=None)

    assert run("import", str(_changed(tmp_path, change))).exit_code == 0
    with live_server(instance=tmp_path / "instance", V6SRV_ROOT_PASSWORD="Root-pass-1") as server:
        root = server.login("root", "Root-pass-1")
        found = requests.get(
            f"{server.api}/organization?name=Northwind Hospital", headers=root, timeout=5
        ).json()
        assert found[0]["zipcode"] == "10115"
        assert found[0]["public_key"] == ""


def test_drop_all_needs_permission(tmp_path: Path, run: Callable[..., Result]) -> None:
    assert run("import", str(EXAMPLE)).exit_code == 0
    refused = run("import", str(EXAMPLE), "--drop-all")
    assert refused.exit_code == 1
    assert "not allowed" in refused.output
    refused = run("import", str(EXAMPLE), "--drop-all", V6SRV_ALLOW_DROP_ALL="False")
    assert refused.exit_code == 1
    assert len(_names(tmp_path, run)) == 3
    # What would stop the import must stop it before everything is gone.
    stranger = _changed(tmp_path, _stranger)
    refused = run("import", str(stranger), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
    assert refused.exit_code == 1
    assert "participant Nobody Known is neither" in refused.output
    local = tmp_path / "instance" / "policies" / "local.csv"
    for line in ("p, role:viewer", "p, role:viewer, tsak, own, view, True, allow"):
        local.write_text(f"{line}\n")
        refused = run("import", str(EXAMPLE), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
        assert refused.exit_code == 1
        assert "local.csv:1" in refused.output
    local.unlink()
    assert len(_names(tmp_path, run)) == 3
    dropped = run("import", str(EXAMPLE), "--drop-all", V6SRV_ALLOW_DROP_ALL="true")
    assert dropped.exit_code == 0, dropped.output
    assert "2 x user" in dropped.output


@pytest.mark.parametrize(
    ("kind", "name", "insert"),
    [
        ("organization", "Northwind Hospital", "organization (name) VALUES (:name)"),
        ("role", "Researcher", "role (name, organization_id) VALUES (:name, 2)"),
    ],
)
def test_a_name_that_several_have_is_refused(
    tmp_path: Path, run: Callable[..., Result], kind: str, name: str, insert: str
) -> None:
    """3.x lets organizations have one name: which one would get the users?"""
    assert run("import", str(EXAMPLE)).exit_code == 0
    engine = make_engine(f"sqlite:///{tmp_path}/instance/v6srv.sqlite")
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {insert}"), {"name": name})
        connection.execute(text("UPDATE user SET username = 'another' WHERE username = 'nora'"))
        connection.execute(text("UPDATE user SET email = NULL"))
    engine.dispose()
    again = run("import", str(EXAMPLE))
    assert again.exit_code == 1
    assert f"there are 2 {kind}s called {name}: the file cannot say which one" in again.output


def test_what_the_file_says_otherwise_about_what_exists_is_said(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    def change(document: dict[str, Any]) -> None:
        first, second = document["organizations"]
        first["users"], second["users"] = second["users"], first["users"]
        study = document["collaborations"][0]
        study["encrypted"] = True
        study["participants"][0]["api_key"] = "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e99"

    assert run("import", str(EXAMPLE)).exit_code == 0
    again = run("import", str(_changed(tmp_path, change)))
    assert again.exit_code == 0, again.output
    for said in (
        "the user nora stays in another organization than Southgate Clinic",
        "the collaboration Registry Study stays not encrypted",
        "the node Northwind Hospital - Registry Study Node keeps the API key that it has",
        "added: nothing",
    ):
        assert said in again.output

"""An exported policy, read by stock Casbin with the lines of the documentation, decides the same."""

import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import casbin
import pytest
from click.testing import CliRunner

from tests.authz.random_world import IMAGES, make_lines
from tests.examples import examples
from tools.casbin_reference import STOCK
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.rules import DECLARED
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError
from v6srv.cli.main import cli
from v6srv.errors import Invalid
from v6srv.policy.publish.export import for_casbin
from v6srv.vocabulary import Operation, PrincipalKind, Resource

POLICIES = Path(__file__).parents[2] / "policies"
CONDITIONS = (
    "r.sub.task > 5",
    "!(r.sub.task <= 5)",
    "r.obj.image == 'a,b'",
    "keyMatch2(r.obj.image, 'harbor/:x') && r.obj.id != 1",
    "r.obj.parent not in (None, 2)",
    "timeMatch('2020-01-01', '_')",
)


def _stock(enforcer: Enforcer, folder: Path, roles: dict[str, list[str]]) -> casbin.Enforcer:
    folder.mkdir()
    for name, text in for_casbin(enforcer).items():
        (folder / name).write_text(text)
    documented: dict[str, Any] = {}
    exec(STOCK, documented)
    make: Callable[..., casbin.Enforcer] = documented["enforcer"]
    return make(folder, roles)


def _live(folder: Path, chance: random.Random) -> Enforcer:
    """A random policy that may go live: some lock root out, or let strangers in."""
    more = [
        Line("p", ("role:a", "task", "global", "view", condition, "allow"), f"more:{number}")
        for number, condition in enumerate(CONDITIONS)
    ]
    while True:
        with suppress(PolicyError):
            return build(folder, [*make_lines(chance), *more])


def _some(chance: random.Random, most: int = 3) -> frozenset[int]:
    return frozenset(chance.sample(range(1, most + 1), chance.randint(0, most)))


def _who(chance: random.Random) -> SimpleNamespace:
    kind, number = chance.choice(("user", "node", "container")), chance.randint(1, 3)
    roles = tuple(chance.sample(("role:root", "role:a", "role:b", "rule:1"), chance.randint(0, 2)))
    maybe = chance.choice((None, 1, 9))
    return SimpleNamespace(
        id=f"{kind}:{number}", kind=f"kind:{kind}", account=number, org=number, group=f"org:{number}",
        collabs=_some(chance), task=maybe, run=maybe, image=chance.choice(IMAGES),
        changes=frozenset(), membership=roles, roles=frozenset(r for r in roles if r[1] == "o"),
    )  # fmt: skip


def _row(chance: random.Random, resource: str) -> SimpleNamespace:
    return SimpleNamespace(
        type=resource, id=chance.randint(1, 3), org=chance.choice((None, 1, 2)), orgs=_some(chance),
        owner_orgs=_some(chance), collabs=_some(chance), owners=frozenset({f"user:{chance.randint(1, 3)}"}), run=chance.choice((None, 1)),
        image=chance.choice((*IMAGES, "a,b")), parent=chance.choice((None, 1, 2)), country=chance.choice((None, "NL")),
        status=chance.choice((None, "completed")), encrypted=chance.choice((None, True, False)),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(examples(1)))
def test_stock_casbin_decides_the_exported_policy_the_same(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "model.conf").write_text((POLICIES / "model.conf").read_text())
    enforcer = _live(tmp_path, chance)
    answers = set()
    for number in range(5):
        who = _who(chance)
        folder = tmp_path / f"exported-{number}"
        stock = _stock(enforcer, folder, {who.id: list(who.membership)})
        for _ in range(10):
            row = _row(chance, chance.choice(("task", *Resource)))
            operation = chance.choice(tuple(Operation)).value
            expected = enforcer.enforce_ex(who, row, operation)
            assert stock.enforce(who, row, operation) is expected[0], (
                who,
                row,
                operation,
                expected,
            )
            answers.add(expected[0])
    assert answers == {True, False}


@pytest.mark.parametrize("role", ["role:root", "role:org_admin", "role:viewer"])
def test_stock_casbin_says_who_has_power_over_whom(tmp_path: Path, role: str) -> None:
    """By the shipped policy, with what the documentation says of `r.sub.lacks`."""
    enforcer = build(POLICIES)
    who = Principal(PrincipalKind.USER, 5, 2, frozenset({1}), (role,)).facts
    documented: dict[str, Any] = {}
    exec(STOCK, documented)
    stock = _stock(enforcer, tmp_path / "exported", {who.id: [role]})
    words = ("res", "scope", "act")
    rules = [SimpleNamespace(**dict(zip(words, one.key, strict=True))) for one in DECLARED]
    lacks = documented["lacks"](stock, who, rules)
    assert lacks == enforcer.lacks(who)
    answers = set()
    nothing: frozenset[str] = frozenset()
    some = (nothing, frozenset({"task:own:view", "task:organization:view"}), lacks)
    for resource, held, in_roles, foreign, changes in itertools.product(
        ("user", "role"), some, some, (True, False), ("roles", "rules", "email", "name")
    ):
        row = SimpleNamespace(
            **{"type": resource, "id": 9, "org": 2, "orgs": frozenset({2}), "owners": nothing},
            **{"collabs": frozenset({1}), "rules": held, "role_rules": in_roles},
            **{"foreign_roles": foreign, "default": foreign},
        )
        for operation in Operation:
            changed = who.changing(frozenset({changes}))
            allowed = enforcer.enforce(changed, row, operation.value)
            assert stock.enforce(changed.lacking(lacks), row, operation.value) is allowed
            answers.add(allowed)
    assert answers == {False, True}


def test_the_command_writes_a_folder_that_casbin_loads(tmp_path: Path) -> None:
    env = {"V6SRV_INSTANCE": str(tmp_path / "instance"), "V6SRV_POLICIES": str(POLICIES)}
    folder = tmp_path / "casbin"
    assert CliRunner().invoke(cli, ["db", "upgrade"], env=env).exit_code == 0
    run = CliRunner().invoke(cli, ["policy", "export", "--format", "casbin", str(folder)], env=env)
    assert run.exit_code == 0, run.output
    loaded = casbin.Enforcer(str(folder / "model.conf"), str(folder / "policy.csv"))
    words = {(*line[:4], line[5]) for line in loaded.get_policy()}  # conditions may have brackets
    assert words == {(*line[:4], line[5]) for line in build(POLICIES).get_policy()}
    again = CliRunner().invoke(
        cli, ["policy", "export", "--format", "casbin", str(folder)], env=env
    )
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_what_casbin_cannot_read_from_a_file_is_said(tmp_path: Path) -> None:
    line = Line("p", ("role:viewer", "task", "own", "view", "r.obj.image == 'a)'", "allow"), "x:1")
    with pytest.raises(Invalid, match="brackets in a text"):
        for_casbin(build(POLICIES, [line]))


def test_what_a_text_says_is_exported_as_it_is(tmp_path: Path) -> None:
    """Also where a condition is rewritten, and the text quotes what is rewritten."""
    texts = ("x is not None", "r3_core")
    lines = [
        Line("p", ("role:viewer", "task", "own", "view", condition, "allow"), f"x:{number}")
        for number, text in enumerate(texts)
        for condition in [f"r.sub.org > 3 && r.obj.image == '{text}'"]
    ]
    exported = for_casbin(build(POLICIES, lines))["policy.csv"]
    assert all(f"r.obj.image == '{text}'" in exported for text in texts)
    assert "r.sub.org != None" in exported

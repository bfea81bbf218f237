"""Every feature of Casbin is the same here, refused with a code, or different and told."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from casbin.model import FunctionMap

from tests.stock_casbin import stock_enforcer
from tools.casbin_reference import SECTIONS, Feature, Verdict
from v6srv.authz.source.load import build
from v6srv.policy.lint.folder import lint

POLICIES = Path(__file__).parents[2] / "policies"
FEATURES = [feature for features in SECTIONS.values() for feature in features]
SUBJECT = {"kind": "kind:user", "group": "org:2", "account": 5, "org": 2, "collabs": frozenset({1})}
ABSENT = dict.fromkeys(("task", "run", "image")) | {"changes": frozenset()}
ROW = {"type": "task", "orgs": frozenset({2, 3}), "collabs": frozenset({1}), "owners": frozenset()}


def _edited(feature: Feature, folder: Path) -> Path:
    shutil.copytree(POLICIES, folder)
    model = (folder / "model.conf").read_text()
    for old, new in feature.model:
        assert old in model
        model = model.replace(old, new)
    (folder / "model.conf").write_text(model)
    line = feature.line
    if feature.condition:
        line = (
            f"p, role:other, task, global, view, {feature.condition}, allow\ng, user:5, role:other"
        )
    (folder / "local.csv").write_text(line + "\n")
    return folder


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_it_is_as_the_page_says(feature: Feature, tmp_path: Path) -> None:
    found = lint(_edited(feature, tmp_path / "policies"))
    errors = {problem.code.slug for problem in found if problem.is_error}
    if feature.verdict is Verdict.REFUSED:
        assert errors >= {feature.code} != {""}
        return
    assert errors == set()
    if feature.verdict is Verdict.DIFFERENT:
        assert feature.code in {problem.code.slug for problem in found}
        return
    assert feature.code == ""
    enforcer = build(tmp_path / "policies")
    stock = stock_enforcer(enforcer.definition.text, enforcer.lines)
    who = SimpleNamespace(id="user:5", roles=frozenset(), **SUBJECT, **ABSENT)
    answers = set()
    for id, image in enumerate(("a/b", "a/b/c", "c")):
        row = SimpleNamespace(**ROW, id=id, org=id + 1, image=image)
        answer = enforcer.enforce_ex(who, row, "view")
        if not enforcer.definition.allow_only:
            assert answer == stock.enforce_ex(who, row, "view")
        assert answer[0] == stock.enforce(who, row, "view")
        answers.add(answer[0])
    if feature.condition and "r.obj" in feature.condition and "orgs" not in feature.condition:
        assert answers == {True, False}


def test_every_function_of_casbin_is_spoken_of() -> None:
    told = "".join(feature.name for feature in SECTIONS["Functions"])
    assert [name for name in FunctionMap.load_function_map().fm if f"`{name}`" not in told] == []

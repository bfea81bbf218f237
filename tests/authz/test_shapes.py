"""Conditions that differ only in their numbers are checked once."""

from pathlib import Path

import pytest

from v6srv.authz.compiler import Program
from v6srv.authz.source import check_lines, check_policy
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError
from v6srv.authz.source.shapes import shape

MODEL = Path("policies/model.conf").read_text()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("True", "True"),
        ("r.obj.org == 17", "r.obj.org == 2"),
        ("r.obj.org in (9, 8, 9)", "r.obj.org in (2, 3, 2)"),
        ("r.obj.org in (0, 1, 10)", "r.obj.org in (0, 1, 2)"),
        ("r.sub.id == 'user:17'", "r.sub.id == 'user:17'"),
        ("r.obj.org == 3000000000", "r.obj.org == 3000000000"),
        ("r.obj.org == 1.5", "r.obj.org == 1.5"),
        ("r.obj.org == 017", "r.obj.org == 017"),
        ("r.obj.org == 5_0", "r.obj.org == 5_0"),
        ("fact5 == 5 && '''a'5'''", "fact5 == 5 && '''a'5'''"),
    ],
)
def test_shape(condition: str, expected: str) -> None:
    assert shape(condition) == expected


def _folder(tmp_path: Path, *conditions: str) -> Path:
    rows = [
        f"p, role:{at}, organization, global, view, {condition}, allow\n"
        for at, condition in enumerate(conditions, 8)
    ]
    shipped = Path("policies/default_roles.csv").read_text()
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "lines.csv").write_text(shipped + "".join(rows))
    return tmp_path


def test_what_is_asked_of_the_form_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    faults, where = check_lines.faults, check_policy.where
    monkeypatch.setattr(
        check_lines, "faults", lambda text, language: asked.append("") or faults(text, language)
    )
    monkeypatch.setattr(check_policy, "where", lambda *given: asked.append("") or where(*given))

    def counted(number: int) -> int:
        asked.clear()
        build(_folder(tmp_path, *(f"r.obj.id != {100 + at}" for at in range(number))))
        return len(asked)

    assert counted(60) == counted(1)


def test_what_is_wrong_is_said_of_every_line(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path, "r.obj.organ == 5", "r.obj.organ == 6", "r.obj.id == 9", "r.obj.id == 9999999999"
    )
    with pytest.raises(PolicyError) as raised:
        build(folder)
    lines = [(problem.line, problem.column > 0) for problem in raised.value.problems]
    first = len(Path("policies/default_roles.csv").read_text().splitlines()) + 1
    assert lines == [(first, True), (first + 1, True), (first + 3, True)]


def test_a_matcher_may_compare_the_text_of_a_condition() -> None:
    """Then lines that look alike are different."""

    def program(matcher: str) -> Program:
        return Program(matcher, ("r_sub", "r_obj", "r_act"), ("p_act", "p_cond"), {}, [])

    assert program("r_act == p_act && eval(p_cond)").only_evaluates("p_cond")
    odd = 'r_act == p_act && (p_cond == "True" || eval(p_cond))'
    assert not program(odd).only_evaluates("p_cond")

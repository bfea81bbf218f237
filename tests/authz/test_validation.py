"""What Casbin accepts in silence is refused, with its place; nothing of it goes live."""

from pathlib import Path

import pytest

from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError

POLICIES = Path(__file__).parents[2] / "policies"

# The line, where it is wrong ($: at its end, None: as a whole), what is said of it.
LINES = [
    ("p, role:viewer, tsak, own, view, True, allow", "tsak", "did you mean task?"),
    (
        "p, role:viewer, task, organisation, view, True, allow",
        "organisation",
        "did you mean organization?",
    ),
    ("p, role:viewer, task, own, veiw, True, allow", "veiw", "did you mean view?"),
    ("p, role:viewer, task, own, view, True, Deny", "Deny", "did you mean deny?"),
    ("p, role:viewer, task, own, view, True, allow # only mine", "allow #", "unknown effect"),
    ("p, viewer, task, own, view, True, allow", "viewer", "is not a subject"),
    ("p, user:rita, task, own, view, True, allow", "user:rita", "is not a subject"),
    ("p, user:0, task, own, view, True, allow", "user:0", "is not a subject"),
    ("p, role:viewer, task, own, view, True", None, "5 fields, 6 expected"),
    ("p, role:viewer, task, own, view, True, allow, allow", None, "7 fields, 6 expected"),
    ("P, role:viewer, task, own, view, True, allow", None, "unknown line type 'P'"),
    ("pp, role:viewer, task, own, view, True, allow", None, "did you mean p?"),
    ("g3, user:1, role:root", None, "unknown line type"),
    ("g, user:1, role:rooot", "role:rooot", "did you mean role:root?"),
    ("g, user:1", None, "1 fields, 2 expected"),
    ("g, user:1, root", "root", "is not a subject"),
    ("g2, global, organisation", "organisation", "did you mean organization?"),
    ("p, role:viewer, task, own, view, (r.obj.image == 'a', allow", "$", "is missing"),
    ("p, role:viewer, task, own, view, r.obj.image == 'a), allow", "$", "is not closed"),
    ("p, role:viewer, task, own, view, r.obj.image) == 'a', allow", ") ==", "closes nothing"),
    (
        "p, role:viewer, task, own, view, r.obj.imgae == 'a', allow",
        "r.obj.imgae",
        "did you mean image?",
    ),
    (
        "p, role:viewer, user, own, view, r.obj.image == 'a', allow",
        "r.obj",
        "unknown fact r.obj.image",
    ),
    ("p, role:viewer, task, own, view, r.sub.orgs == 1, allow", "r.sub.orgs", "did you mean org?"),
    ("p, role:viewer, task, own, view, exec('x'), allow", "exec", "unknown function"),
    (
        "p, role:viewer, task, own, view, regexMatch(r.obj.image 'a'), allow",
        "r.obj.image 'a'",
        "cannot read",
    ),
    ("p, role:viewer, task, own, view, False) or (True, allow", ") or", "closes nothing"),
    ("p, role:viewer, task, own, view, 9**9 == 1, allow", "9**9", "BinOp is not allowed"),
    ("p, role:viewer, task, own, view, r.obj.__class__ == 1, allow", "r.obj", "is not a fact"),
    ("p, role:viewer, task, own, view, r.obj.image, allow", "r.obj", "neither true nor false"),
    ("p, role:viewer, task, own, view, 1 < r.obj.run < 3, allow", "1 <", "two comparisons"),
    (
        "p, role:viewer, task, own, view, r.obj.image == 'a!b', allow",
        "'a!b'",
        "Casbin would rewrite",
    ),
    ("p, role:viewer, task, own, view, who.am.i == 1, allow", "who.am.i", "unknown name"),
    ("p, role:viewer, task, own, view, r.obj.run == 'one', allow", None, "is not of type int"),
    ("p, role:viewer, task, own, view, r.obj.image == 7, allow", None, "is not of type str"),
    ("p, role:viewer, task, own, view, r.obj.run > 3, allow", None, "compared with ==, != and in"),
    ("p, role:viewer, task, own, view, glob('a', r.obj.image), allow", None, "no form for lists"),
    ("p, role:viewer, task, own, view, glob(r.obj.image, '[ab]'), allow", None, "glob pattern"),
    (
        "p, role:viewer, task, own, view, r.obj.run == 99999999999, allow",
        "99999999999",
        "larger than every number",
    ),
    ("p, role:viewer, task, own, view, r.obj.run in (1.5, 2), allow", "1.5", "1.5 is neither"),
    (
        r"p, role:viewer, task, own, view, r.obj.image == '\x00', allow",
        r"'\x00'",
        "holds a backslash",
    ),
    (f"p, role:viewer, task, own, view, {'!' * 60}True, allow", "!" * 60, "too many levels"),
    ("p, user:1٣, task, own, view, True, allow", "user:1٣", "is not a subject"),
    ("p, role:root, *, global, *, True, allow", None, "the same line as default_roles.csv"),
    ("p, role:root, task, global, view, True, deny", None, "root may not view task"),
    ("p, kind:user, task, global, view, True, allow", None, "everybody may view every task"),
    ("g, role:viewer, role:collab_admin", None, "inherits from itself"),
]


def _folder(tmp_path: Path, extra: str = "", model: tuple[str, str] | None = None) -> Path:
    text = (POLICIES / "model.conf").read_text()
    if model:
        assert model[0] in text
        text = text.replace(*model)
    (tmp_path / "model.conf").write_text(text)
    (tmp_path / "default_roles.csv").write_text((POLICIES / "default_roles.csv").read_text())
    (tmp_path / "extra.csv").write_text(f"# extra lines\n\n{extra}\n")
    return tmp_path


@pytest.mark.parametrize(("line", "at", "message"), LINES, ids=[line[0] for line in LINES])
def test_a_bad_line_is_refused_with_its_place(
    tmp_path: Path, line: str, at: str | None, message: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        build(_folder(tmp_path, line))
    here = [p for p in refused.value.problems if message in p.message]
    assert here, str(refused.value)
    wide = ("root may", "everybody may", "inherits from itself")
    if not message.startswith(wide):
        column = len(line) if at == "$" else line.rindex(at) + 1 if at else None
        place = f"extra.csv:3:{column}" if column else "extra.csv:3"
        assert any(p.origin.startswith(place) for p in here), str(refused.value)


MODEL = [
    ("&& r.sub.org == r.obj.org", "&& r.sub.org == r.obj.nothing", "unknown fact r.obj.nothing"),
    ("r.sub.org in r.obj.orgs", "r.sub.orgs in r.obj.orgs", "unknown fact r.sub.orgs"),
    ("meets(r.sub", "touches(r.sub", "unknown function 'touches'"),
    ("eval(p.cond)", "eval(p.cond", "cannot read"),
    ("eval(p.cond)", "eval(p.cond) && q", "unknown name 'q'"),
    ("e = some(where (p.eft == allow)) && !some", "e = !some", "never what is merely not denied"),
    (
        "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
        "e = priority(p.eft) || deny",
        "is not supported",
    ),
    ("[policy_effect]", "[policy_effects]", "section for e is missing"),
    ("[matchers]", "[matchers", "']' is missing"),
    (
        '|| \\\n     p.scope == "organization"',
        '|| \\ \n     p.scope == "organization"',
        "blank after",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), MODEL, ids=[case[2] for case in MODEL])
def test_a_bad_model_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        build(_folder(tmp_path, model=(old, new)))
    assert message in str(refused.value)
    assert "model.conf" in str(refused.value)


GOOD = [
    "p, user:17, task, global, create, True, deny",
    "p, role:researcher, task, global, create, !glob(r.obj.image, 'harbor.example/*'), deny",
    "p, role:12, task, global, view, 4 in r.obj.collabs, allow",
    "p, org:3, node, organization, view, True, allow",
    "p, role:13, task, own, view, timeMatch('2026-01-01 00:00:00', '2026-07-01 00:00:00'), allow",
    "g, role:monitor, role:viewer",
    "p, org:3, task, own, view, 'role:viewer' in r.sub.roles && r.obj.id in (1, 2), allow",
    "p, org:3, task, own, view, g(r.sub.id, 'role:viewer'), allow",
]


@pytest.mark.parametrize("line", GOOD)
def test_a_good_line_goes_live(tmp_path: Path, line: str) -> None:
    enforcer = build(_folder(tmp_path, line))
    assert [l.origin for l in enforcer.lines if l.origin.startswith("extra")] == ["extra.csv:3"]  # noqa: E741

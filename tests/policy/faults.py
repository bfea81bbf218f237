"""A corpus of faults, each with its codes and places.

§ stands before the character that a finding points at, once for each code, in their order. Lines
are those of extra.csv beside the shipped policies; what is said of the model is (old, new).
"""

from dataclasses import dataclass

OWN = "p, role:viewer, task, own, view, {}, allow"


@dataclass(frozen=True)
class Fault:
    codes: str
    """Codes of all findings in the order of their places, separated by blanks."""
    lines: str = ""
    """Of extra.csv, with marks."""
    model: tuple[tuple[str, str], ...] = ()
    """What is replaced in model.conf, once each; the new text may have marks."""
    meant: str | None = None
    """What is suggested first."""
    elsewhere: tuple[str, ...] = ()
    """Code and place of findings that no mark can show; a place is also `file~text at the place`,
    or `file~[section]` for its line."""
    alone: bool = True
    """Whether it brings no other findings with it."""

    def __str__(self) -> str:
        return f"{self.codes}: {self.lines or self.model[0][1]}"[:90].replace("\n", " / ")


def _condition(codes: str, text: str, meant: str | None = None) -> Fault:
    return Fault(codes, OWN.format(text), meant=meant)


FIELDS = [
    Fault("unknown-resource", "p, role:viewer, §tsak, own, view, True, allow", meant="task"),
    Fault("unknown-resource", "p, role:viewer, §Task, own, view, True, allow", meant="task"),
    Fault("unknown-resource", "p, role:viewer, §tasks, own, view, True, allow", meant="task"),
    Fault(
        "unknown-scope",
        "p, role:viewer, task, §organisation, view, True, allow",
        meant="organization",
    ),
    Fault("unknown-scope", "p, role:viewer, task, §*, view, True, allow", meant=""),
    Fault("unknown-operation", "p, role:viewer, task, own, §veiw, True, allow", meant="view"),
    Fault("unknown-operation", "p, role:viewer, task, own, §VIEW, True, allow", meant="view"),
    Fault("unknown-effect", "p, role:viewer, task, own, view, True, §Deny", meant="deny"),
    Fault("unknown-effect", "p, role:viewer, task, own, view, True, §allowed", meant="allow"),
    Fault(
        "trailing-comment",
        "p, role:viewer, task, own, view, True, §allow # only mine",
        meant="allow",
    ),
    Fault("trailing-comment", "p, role:viewer, task, own, view, True, §allow # mine, not yours"),
    Fault("trailing-comment", "g, user:5, §role:viewer # the auditor", meant="role:viewer"),
    Fault("not-a-subject", "p, §viewer, task, own, view, True, allow", meant="role:viewer"),
    Fault("not-a-subject", "p, §role: viewer, task, own, view, True, allow", meant="role:viewer"),
    Fault("not-a-subject", "p, §users:5, task, own, view, True, allow", meant="user:5"),
    Fault("not-a-subject", "p, §user:rita, task, own, view, True, allow", meant=""),
    Fault("not-a-subject", "p, §kind:users, task, own, view, True, allow", meant="kind:user"),
    Fault("not-a-subject", "p, §container:3, task, own, view, True, allow"),
    Fault("field-count", "§p, role:viewer, task, own, view, True"),
    Fault("field-count", "p, role:viewer, task, own, view, True, allow, §allow"),
    Fault("field-count", "p, role:viewer, task, own, view, True, allow,§"),
    Fault("field-count", "§g, user:1"),
    Fault("field-count", "g, user:1, role:viewer, §role:node"),
    Fault("unknown-line-type", "§P, role:viewer, task, own, view, True, deny", meant="p"),
    Fault("unknown-line-type", "   §pp, role:viewer, task, own, view, True, allow", meant="p"),
    Fault("unknown-line-type", "§p2, role:viewer, task, own, view, True, allow"),
    Fault("unknown-line-type", "§g3, user:1, role:root"),
    Fault("duplicate-line", "§p, role:root, *, global, *, True, allow"),
    Fault(
        "duplicate-line",
        "p, user:1, task, own, view, True, allow\n\n  §p,user:1,task,own,view,True,allow",
    ),
    Fault("unbalanced", "p, role:viewer, task, own, view, (r.obj.image == 'a', allo§w"),
    Fault("unbalanced", "p, role:viewer, task, own, view, r.obj.image == 'a, allo§w"),
    Fault("unbalanced", "p, role:viewer, task, own, view, False§) or (True, allow"),
    Fault("invisible-character", "§\ufeffp, role:viewer, task, own, view, True, allow"),
    Fault("invisible-character", "p,§\u00a0role:viewer, task, own, view, True, allow"),
    Fault("invisible-character", "p, role:viewer, task§\u200b, own, view, True, deny"),
    Fault(
        "typographic-quote typographic-quote",
        OWN.format("r.obj.image == §\u2018a§\u2019"),
        meant="'",
    ),
    Fault("unknown-scope", "g2, global, §organisation", meant="organization"),
]

TIMES = [
    Fault("bad-time", "p, role:viewer, task, own, view, True, allow, §valid_until=tomorrow"),
    Fault("bad-time", "p, role:viewer, task, own, view, True, allow, §valid_from=2026-13-01"),
    Fault(
        "bad-time",
        "p, role:viewer, task, own, view, True, allow, §valid_until=2030-01-01, valid_until=2031-01-01",
    ),
    Fault(
        "empty-window",
        "§p, role:viewer, task, own, view, True, allow, valid_from=2031-01-01, valid_until=2030-01-01",
    ),
    Fault("misplaced-limit", "§g, user:5, role:viewer, valid_until=2031-01-01"),
    _condition("bad-time", "timeMatch(§'soon', '_')"),
    _condition("empty-window", "§timeMatch('2031-01-01', '2030-01-01')"),
    _condition("wrong-arguments", "§timeMatch('2031-01-01')"),
    _condition("wrong-arguments", "timeMatch('2031-01-01', §r.sub.id)"),
    _condition("time-over", "§timeMatch('2020-01-01', '2021-01-01')"),
    Fault("time-over", "p, role:viewer, task, own, view, §True, allow, valid_until=2021-01-01"),
    Fault(
        "time-over",
        "p, role:viewer, task, own, view, §r.obj.run == 1, allow, valid_until=2021-01-01",
    ),
    Fault(
        "unknown-fact",
        "p, role:viewer, task, own, view, r.obj.id == 1 && §r.obj.rnu == 1, allow, valid_until=2031-01-01",
    ),
    Fault(
        "syntax",
        "p, role:viewer, task, own, view, r.obj.run §= 1, allow, valid_until=2031-01-01",
        meant="==",
    ),
]

CONDITIONS = [
    _condition("syntax", "r.obj.image §= 'a'", "=="),
    _condition("syntax", "r.obj.id == 1 && r.obj.image §= 'a'", "=="),
    Fault("syntax", "p, role:viewer, task, own, view, §, allow", meant="True"),
    _condition("unknown-name", "§true", "True"),
    _condition("unknown-name", "r.obj.parent == §null"),
    _condition("unknown-name", "r.obj.image == §harbor"),
    _condition("unknown-name", "§obj.image == 'a'", "r.obj"),
    _condition("unknown-name", "§p.scope == 'own'"),
    _condition("unknown-function", "§exec('x')"),
    _condition("other-than-casbin", "§globMatch(r.obj.image, 'a/*')"),
    _condition("other-than-casbin", "§r.obj.id == 1 && timeMatch('2020-01-01', '_')"),
    _condition("glob-pattern", "keyMatch2(r.obj.image, §'registry.example/:x')"),
    _condition("glob-pattern", "keyMatch(r.obj.image, §r.sub.image)"),
    _condition("wrong-type", "keyMatch(§r.obj.id, 'a/*')"),
    _condition("unknown-function", "§regexMatch(r.obj.image, '^a')", "glob"),
    _condition("unknown-function", "!§globs(r.obj.image, 'a*')", "glob"),
    _condition("unknown-function", "§eval('True')"),
    _condition("unknown-fact", "§r.obj.imgae == 'a'", "image"),
    _condition("unknown-fact", "r.obj.id == 1 && §r.sub.orgs == 1", "org"),
    _condition("unknown-fact unknown-fact", "§r.obj.imgae == 'a' || §r.obj.rum == 1"),
    _condition("unknown-fact", "§r.obj.__class__ == 1"),
    _condition("unknown-fact", "§r.sub.org.id == 1"),
    _condition("unknown-fact", "§r.sub == 'root'"),
    Fault("unknown-fact", "p, role:viewer, user, own, view, §r.obj.image == 'a', allow"),
    Fault("unknown-fact", "p, role:viewer, *, own, view, §r.obj.image == 'a', allow"),
    _condition("not-boolean", "§r.obj.image"),
    _condition("not-boolean", "r.obj.id == 1 || §'text'"),
    _condition("chained-comparison", "§1 < r.obj.run < 3"),
    _condition("not-allowed", "§9**9 == 1"),
    _condition("not-allowed", "r.obj.run == 1 §& r.obj.id == 2", "&&"),
    _condition("not-allowed", "r.obj.run == §99999999999"),
    _condition("not-allowed", "§r.obj.parent is None", "=="),
    _condition("rewritten-text", "r.obj.id == 1 && r.obj.image == §'a!b'"),
    _condition("hidden-by-comment", "r.obj.run == 1 §# && r.obj.id == 2"),
    _condition("wrong-type", "r.obj.run == §'one'"),
    _condition("wrong-type", "r.obj.image == §7"),
    _condition("wrong-type", "r.sub.org == §'3'"),
    _condition("wrong-type", "r.obj.run in (1, §'2')"),
    _condition("wrong-type", "§'3' in r.obj.collabs"),
    _condition("wrong-type", "§r.obj.collabs == 3"),
    _condition("wrong-type", "r.obj.image in §r.obj.id"),
    _condition("wrong-type", "§r.sub.image > 3"),
    Fault(
        "wrong-type",
        "p, role:viewer, collaboration, organization, edit, r.obj.encrypted == §1, allow",
    ),
    _condition("wrong-arguments", "§meets(r.sub.collabs)"),
    _condition("wrong-arguments", "meets(§r.sub.org, r.obj.orgs)"),
    _condition("wrong-arguments", "meets(r.obj.orgs, §r.sub.org)"),
    _condition("wrong-arguments", "g(r.sub.id, §3)"),
    _condition("wrong-type", "meets(r.obj.orgs, (3, §'4'))"),
    _condition("wrong-type", "meets(r.sub.roles, §r.obj.orgs)"),
    _condition("text-for-list", "r.obj.image in (§'a')", "('a',)"),
    Fault(
        "text-for-list",
        "p, user:5, user, global, edit, within(r.sub.changes, (§'email')), allow",
        meant="('email',)",
    ),
    _condition("glob-pattern", "glob(r.obj.image, §'[ab]')"),
    _condition("glob-pattern", "glob(r.obj.image, §3)"),
    _condition("no-list-form", "glob('a', §r.obj.image)"),
    _condition("no-list-form", "§r.obj.run > 3"),
    _condition("no-list-form", "within(§r.obj.orgs, (1,))"),
    _condition("no-list-form", "§meets(r.obj.orgs, r.obj.collabs)"),
    _condition("not-a-subject", "r.sub.kind == §'kind:usr'", "kind:user"),
    _condition("unknown-resource", "r.obj.type == §'tasks'", "task"),
    _condition("unknown-operation", "r.act == §'veiw'", "view"),
]

CONDITIONS += [
    _condition("not-a-subject", "§'researcher' in r.sub.roles", meant="'role:researcher'"),
    _condition(
        "not-a-subject", "!meets(r.sub.roles, (§'Viewer', 'role:root'))", meant="'role:Viewer'"
    ),
    _condition("not-a-subject", "g(r.sub.id, §'viewer')", meant="'role:viewer'"),
    _condition("wrong-arguments", "g(§'user:1', 'role:viewer')", meant="r.sub.id"),
    _condition("rewritten-text", "r.obj.database == §'D:\\notes'"),
    _condition("rewritten-text", "r.obj.database != §'D:\\data'"),
    _condition("rewritten-text", 'r.obj.image in (§"a\\x41", "b")'),
    Fault(
        "unknown-status",
        "p, role:viewer, result, own, view, r.obj.status == §'complete', deny",
        meant="completed",
    ),
    Fault(
        "unknown-status",
        "p, role:viewer, node, own, view, r.obj.status in ('online', §'Offline'), deny",
        meant="offline",
    ),
    Fault("not-a-subject", "p, §user:99999999999, task, own, view, True, deny"),
    Fault("not-a-subject", "g, §user:2147483648, role:viewer"),
]

ALWAYS = [
    _condition("always-true", "§r.obj.id == r.obj.id"),
    _condition("always-true", "§r.sub.kind == 'kind:user'"),
    _condition("always-true", "§r.obj.image == 'a' || r.obj.image != 'a'"),
    _condition("always-true", "§!(r.sub.account > 5) || r.sub.account > 3"),
    _condition("always-true", "§r.obj.type == 'task'"),
    Fault("always-true", "p, user:5, task, global, delete, §r.sub.account == 5, deny"),
    Fault(
        "always-true",
        "p, user:5, task, global, edit, §r.obj.id == r.obj.id, allow, valid_until=2027-01-01",
    ),
]

NEVER = [
    _condition("never-matches", "§False"),
    _condition("never-matches", "§r.obj.image == 'a' && r.obj.image == 'b'"),
    _condition("never-matches", "§r.obj.run == 1 && r.obj.run != 1"),
    _condition("never-matches", "§r.obj.run in ()"),
    _condition("never-matches", "§meets(r.obj.orgs, ())"),
    _condition("never-matches", "§r.obj.run in (1, 2) && !(r.obj.run in (1, 2, 3))"),
    _condition("never-matches", "§glob(r.obj.image, 'a/*') && glob(r.obj.image, 'b/*')"),
    _condition("never-matches", "§glob(r.obj.image, 'a/*') && r.obj.image == 'b/x'"),
    _condition("never-matches", "§r.sub.kind == 'kind:node'"),
    _condition("never-matches", "§r.sub.account > 5 && r.sub.account < 3"),
    _condition("never-matches", "§r.act == 'edit'"),
    _condition("never-matches", "§3 in r.obj.orgs && !meets(r.obj.orgs, (3, 4))"),
    _condition("never-matches", "§'node:3' in r.obj.owners"),
    _condition("never-matches", "§r.obj.run == r.obj.id && r.obj.id == 1 && r.obj.run == 2"),
    Fault("never-matches", "p, user:5, task, global, view, §r.sub.id == 'user:6', allow"),
    Fault("denies-nothing", "p, org:3, task, global, view, §r.sub.org == 4, deny"),
    Fault(
        "never-matches", "p, role:viewer, collaboration, organization, edit, §r.obj.org == 3, allow"
    ),
    Fault(
        "never-matches",
        "p, role:viewer, task, organization, edit, §timeMatch('2030-01-01', '2031-01-01') && timeMatch('2032-01-01', '_'), allow",
    ),
    Fault("empty-scope", "p, role:viewer, collaboration, §own, view, True, allow"),
    Fault("empty-scope", "p, role:viewer, node, §own, view, True, allow"),
    Fault("empty-scope", "p, kind:container, task, §own, view, True, allow"),
    Fault("empty-scope", "p, role:viewer, study, §own_organization, view, True, allow"),
    Fault("empty-scope", "p, role:viewer, policy, §organization, view, True, allow"),
    Fault("fact-never-set", "p, role:viewer, task, own, view, §r.sub.task == 3, allow"),
    Fault(
        "denies-nothing", "p, kind:node, task, organization, view, §glob(r.sub.image, 'a*'), deny"
    ),
    Fault(
        "denies-nothing",
        "p, role:viewer, user, organization, view, §meets(r.sub.changes, ('roles',)), deny",
    ),
    Fault(
        "denies-nothing",
        "p, user:5, user, global, edit, meets(r.sub.changes, (§'rols',)), deny",
        meant="roles",
    ),
]

CONDITIONS += [
    _condition("pattern-for-text", "r.obj.image == §'a/*'"),
    _condition("pattern-for-text", "r.obj.image != §'registry.example/*'"),
    _condition("pattern-for-text pattern-for-text", "!(r.obj.image in (§'a/*', 'b', §'c*'))"),
    _condition("pattern-for-text", "r.sub.id == §'user:*'"),
    _condition("wrong-type", "§(3, 4) in r.obj.orgs"),
    _condition("glob-pattern", "glob(r.obj.image, §'^a/.*')"),
    _condition("glob-pattern", "glob(r.obj.image, §'a/*|b/*')"),
    _condition("glob-pattern", "glob(r.obj.image, §'a/.*$')"),
]

NEVER += [
    Fault(
        "unknown-field",
        "p, user:5, user, organization, edit, meets(r.sub.changes, (§'rols',)), allow",
        meant="roles",
    ),
    Fault(
        "never-matches",
        "p, role:viewer, node, global, view, §r.obj.org == 3 && !(3 in r.obj.orgs), allow",
    ),
    Fault(
        "never-matches",
        "p, role:viewer, task, global, view, §1 in r.obj.collabs && 2 in r.obj.collabs, allow",
    ),
    Fault(
        "denies-nothing",
        "p, role:viewer, user, global, view, §r.obj.id == 5 && !('user:5' in r.obj.owners), deny",
    ),
    Fault("denies-nothing", "p, role:viewer, collaboration, §own, view, True, deny"),
    Fault("denies-nothing", "p, role:viewer, task, global, view, §False, deny"),
    Fault("denies-nothing", "p, §role:vewer, task, global, view, True, deny", meant="role:viewer"),
    Fault("denies-nothing", "p, §role:any_user, task, global, view, True, deny"),
]

OVERLAP = [
    Fault(
        "shadowed-line",
        "p, user:5, task, global, view, True, allow\n§p, user:5, task, organization, view, True, allow",
    ),
    Fault("shadowed-line", "§p, role:root, task, global, view, True, allow"),
    Fault("shadowed-line", "§p, role:researcher, task, organization, view, True, allow"),
    Fault(
        "shadowed-line",
        "§p, role:viewer, task, organization, view, glob(r.obj.image, 'a/*'), allow",
    ),
    Fault("shadowed-line", "§p, role:viewer, user, own, view, True, allow"),
    Fault(
        "shadowed-line",
        "p, user:5, task, global, view, r.obj.run == 1, allow\n§p, user:5, task, global, view, r.obj.run == 1 && r.obj.image == 'a', allow",
    ),
    Fault(
        "shadowed-line",
        "§p, user:5, task, global, view, r.obj.run == 1, allow\np, user:5, task, global, *, r.obj.run == 1 || r.obj.id == 2, allow",
    ),
    Fault(
        "shadowed-line",
        "p, user:5, task, global, view, glob(r.obj.image, 'a/*'), allow\n§p, user:5, task, global, view, r.obj.image == 'a/b', allow",
    ),
    Fault(
        "shadowed-line",
        "p, user:5, task, global, view, True, deny\n§p, user:5, task, own, view, True, deny",
    ),
    Fault(
        "shadowed-line",
        "p, user:5, task, global, view, r.obj.run == 1 && r.obj.id == 2, allow\n§p, user:5, task, global, view, r.obj.id == 2 && r.obj.run == 1, allow",
    ),
    Fault(
        "denied-line",
        "p, user:5, task, global, delete, True, deny\n§p, user:5, task, own, delete, True, allow",
    ),
    Fault(
        "denied-line",
        "p, org:3, port, global, *, True, deny\ng, user:5, org:3\n§p, user:5, port, own, create, r.obj.run == 1, allow",
        elsewhere=("inherits-from-person extra.csv:2:12",),
    ),
]

ROLES = [
    Fault("role-without-lines", "g, user:1, §role:rooot", meant="role:root"),
    Fault(
        "role-without-members", "p, §role:Viewer, task, own, view, True, allow", meant="role:viewer"
    ),
    Fault(
        "role-without-members",
        "p, §role:monitor, task, global, view, True, allow\np, role:monitor, node, global, view, True, allow",
    ),
    Fault("role-without-members", "g, §role:monitor, role:viewer"),
    Fault(  # of a denial that denies nothing
        "role-without-members",
        "p, role:viewer, task, own, view, r.obj.id != 1 && g(r.sub.id, '§role:vewer'), deny",
        meant="role:viewer",
    ),
    Fault(
        "role-without-members",
        "p, role:viewer, task, own, view, meets(r.sub.roles, ('role:12', '§role:auditor')), deny",
    ),
    Fault(
        "inheritance-cycle inheritance-cycle",
        "§g, role:a, role:b\n§g, role:b, role:a\ng, user:1, role:a\np, role:b, task, own, view, True, allow",
    ),
    Fault("inheritance-cycle", "§g, role:node, role:node"),
    Fault(
        "long-chain",
        "§g, user:1, role:a0\n"
        + "\n".join(f"g, role:a{i}, role:a{i + 1}" for i in range(9))
        + "\np, role:a9, task, own, view, True, allow",
    ),
    Fault(
        "inherits-from-person",
        "g, role:viewer, §user:5\np, user:5, task, own, view, True, allow",
        meant="g, user:5, role:viewer",
    ),
]

WHOLE = [
    Fault("root-locked-out", "§p, kind:user, task, global, view, True, deny"),
    Fault(
        "root-locked-out always-true",
        "§p, role:root, policy, global, *, §r.obj.id == 1 || r.obj.id != 1, deny",
    ),
    Fault(
        "root-locked-out always-true",
        "§p, role:root, *, global, edit, §r.sub.kind == 'kind:user', deny",
    ),
    Fault("strangers-let-in", "§p, kind:user, user, global, delete, True, allow"),
    Fault("strangers-let-in", "§p, role:everyone, user, global, delete, r.sub.account > 0, allow"),
    Fault(
        "strangers-let-in always-true",
        "§p, role:everyone, user, global, delete, §r.obj.org == 1 || r.obj.org != 1, allow",
    ),
    Fault(
        "strangers-let-in", "§p, role:everyone, user, global, delete, !(3 in r.sub.collabs), allow"
    ),
    Fault("strangers-let-in", "§g, kind:user, role:root", alone=False),
    Fault("strangers-let-in", "§p, kind:user, user, global, edit, r.sub.org != 0, allow"),
    Fault("strangers-let-in", "§p, kind:node, task, organization, delete, True, allow"),
    Fault(
        "needless-declaration",
        "g, kind:user, role:any_user\np, §role:any_user, user, own, create, True, allow",
        meant="kind:user",
    ),
    Fault(
        "root-locked-out-for-a-time",
        "§p, role:root, port, global, view, True, deny, valid_from=2030-01-01, valid_until=2031-01-01",
    ),
    Fault(
        "strangers-for-a-time",
        "§p, kind:user, port, global, view, True, allow, valid_until=2031-01-01",
    ),
]

MODEL = [
    Fault("unknown-fact", model=(("r.sub.org == r.obj.org)", "r.sub.org == §r.obj.nothing)"),)),
    Fault(
        "unknown-fact",
        model=(('"organization" && r.sub.org in', '"organization" && §r.sub.orgs in'),),
        meant="org",
    ),
    Fault("unknown-function", model=(("meets(r.sub", "§touches(r.sub"),)),
    Fault("unknown-name", model=(("eval(p.cond)", "eval(p.cond) && §q"),)),
    Fault("syntax", model=(("eval(p.cond)", "eval§(p.cond"),)),
    Fault("syntax", model=(('p.scope == "own" &&', 'p.scope §= "own" &&'),), meant="=="),
    Fault("wrong-type", model=(("r.sub.org == r.obj.org)", "r.sub.org == §r.obj.type)"),)),
    Fault(
        "wrong-arguments",
        model=(("eval(p.cond)", 'eval(§"True")'),),
        elsewhere=("unused-field model.conf~cond, eft",),
    ),
    Fault(
        "wrong-arguments",
        model=(("g(r.sub.kind, p.sub) || g(r.sub.group", "§g(p.sub) || g(r.sub.group"),),
    ),
    Fault("unknown-scope", model=(('p.scope == "own"', 'p.scope == §"owned"'),), meant="own"),
    Fault(
        "unknown-operation",
        model=(('p.act == "*") && \\\n    (g(r.sub.id', 'p.act == §"**") && \\\n    (g(r.sub.id'),),
    ),
    Fault(
        "",
        model=(
            ('     p.scope == "own_organization" && r.sub.org in r.obj.owner_orgs || \\\n', ""),
        ),
        elsewhere=("scope-not-in-model model.conf",),
    ),
    Fault("invisible-character", model=(('p.scope == "own"', 'p.scope ==§\u00a0"own"'),)),
    Fault(
        "unsupported-effect", model=(("e = some(where (p.eft == allow)) && !some", "e = §!some"),)
    ),
    Fault(
        "unsupported-effect",
        model=(
            (
                "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
                "e = §priority(p.eft) || deny",
            ),
        ),
    ),
    Fault(
        "unknown-section",
        model=(("[policy_effect]", "[§policy_effects]"),),
        meant="policy_effect",
        elsewhere=("missing-definition model.conf",),
    ),
    Fault("model-syntax", model=(("[matchers]", "[matchers§"),)),
    Fault("model-syntax", model=(("[policy_effect]\n", "[policy_effect]\n§allow and deny\n"),)),
    Fault("model-syntax", model=(("g = _, _\n", "g = §_, _, _\n"),)),
    Fault("broken-continuation", model=(('"global" || \\\n', '"global" || §\\ \n'),)),
    Fault("broken-continuation", model=(('"global" || \\\n', '"global" || \\\n    §# for all\n'),)),
    Fault("hidden-by-comment", model=(('"global" || \\\n', '"global" || §# for all \\\n'),)),
    Fault(
        "hidden-by-comment",
        model=(
            (
                "p = sub, res, scope, act, cond, eft",
                "p = sub, res, scope, act, cond, eft §# fields",
            ),
        ),
    ),
    Fault("unknown-definition", model=(("[matchers]\n", "[matchers]\n§m1 = True\n"),)),
    Fault(
        "unknown-definition",
        model=(("e = some", "§E = some"),),
        meant="e",
        elsewhere=("missing-definition model.conf~[policy_effect]",),
    ),
    Fault("repeated-definition", model=(("g = _, _\n", "g = _, _\n§g = _, _\n"),)),
    Fault("missing-definition", model=(("r = sub, obj, act", "r = §sub, obj"),)),
    Fault("missing-definition", model=(("p = sub, res,", "p = §sub, obj,"),)),
    Fault("missing-definition", model=(("r2 = sub, rule\n", ""), ("m2 = (", "§m2 = ("))),
    Fault("unused-definition", model=(("g2 = _, _\n", "g2 = _, _\n§g3 = _, _\n"),)),
    Fault("unused-definition", model=(("act, cond, eft\n", "act, cond, eft\n§p2 = sub, act\n"),)),
    Fault("unused-definition", model=(("[matchers]\n", "[matchers]\n§m4 = True\n"),)),
    Fault(
        "unbound-field",
        model=((" && \\\n    eval(p.cond)", ""), ("m = (r.obj", "m = §(r.obj")),
        alone=False,
    ),
    Fault(  # the brackets around the scopes are gone
        "unbound-field unbound-field",
        model=(
            ("m = (r.obj", "m = §(r.obj"),
            ('    (p.scope == "global"', '    p.scope == "global"'),
            ('     p.scope == "collaboration"', '     §p.scope == "collaboration"'),
            ("r.sub.id in r.obj.owners) &&", "r.sub.id in r.obj.owners &&"),
        ),
        alone=False,
    ),
    Fault(
        "unbound-field", model=(('p.cond == "True"\n', 'p.cond == "True" || §True\n'),), alone=False
    ),
    Fault(  # whoever may delete may do everything
        "unbound-field",
        model=(
            (
                'r.act == p.act || p.act == "*"',
                'r.act == p.act || p.act == "*" || §p.act == "delete"',
            ),
        ),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(
            ("r.obj.type == p.res || p.res", 'r.obj.type == p.res || §p.res == "user" || p.res'),
        ),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(("(p.scope == r2", '(§p.scope == "own" || p.scope == r2'),),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(("eval(p.cond)\n", 'eval(p.cond) || §r.act == "view"\n'),),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(('m2 = (r2.rule.res == p.res || p.res == "*") && (r2', "m2 = §(r2"),),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(
            (
                "    (p.scope == r2.rule.scope || g2(p.scope, r2.rule.scope)) && \\\n",
                "",
            ),
            ("m2 = (", "m2 = §("),
        ),
        alone=False,
    ),
    Fault(
        "unbound-field",
        model=(
            (" && r.sub.id in r.obj.owners) &&", ") &&"),
            ('p.scope == "own"', '§p.scope == "own"'),
        ),
    ),
    Fault("not-allowed", model=(("eval(p.cond)\n", 'eval(p.cond) && §p.eft == "allow"\n'),)),
    Fault(
        "not-allowed",
        model=(("(p.scope == r2.rule", '§p.eft != "deny" && (p.scope == r2.rule'),),
    ),
    Fault(
        "unbound-field",
        model=(
            (
                "g(r.sub.group, p.sub)) && \\\n    (p.scope ==",
                'g(r.sub.group, p.sub) || §p.sub == "role:everyone") && \\\n    (p.scope ==',
            ),
        ),
        alone=False,
    ),
    Fault(
        "named-field",
        model=(
            ("p = sub, res, scope, act, cond, eft", "p = §sub, res, scope, act, rule, eft"),
            ("eval(p.cond)", "eval(p.rule)"),
        ),
        alone=False,
    ),
    Fault(
        "named-field",
        model=(("p = sub, res, scope, act, cond, eft", "p = §sub, res, scope, act, eft, cond"),),
        alone=False,
    ),
    Fault(
        "denial-without-effect",
        "p, user:5, task, global, delete, True, §deny",
        model=((" && !some(where (p.eft == deny))", ""),),
        alone=False,
    ),
]

FAULTS = [*FIELDS, *TIMES, *CONDITIONS, *ALWAYS, *NEVER, *OVERLAP, *ROLES, *WHOLE, *MODEL]

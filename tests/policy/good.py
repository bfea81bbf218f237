"""Policies that are as they should be: lines of extra.csv beside the shipped ones, and models."""

GOOD = [
    "# scopes in another order\ng2, global, organization\ng2, collaboration, own",
    "# nothing but a comment",
    "p, role:12, task, global, view, True, allow",
    "p, role:12, task, global, view, True, allow\ng, role:12, role:viewer",
    "p, user:17, task, global, create, True, deny",
    "p, role:researcher, task, global, create, !glob(r.obj.image, 'harbor.example/*'), deny",
    "p, role:researcher, task, global, create, !(glob(r.obj.image, 'a/*') || glob(r.obj.image, 'b/*')), deny",
    "p, role:12, task, global, view, 4 in r.obj.collabs, allow",
    "p, org:3, node, organization, view, True, allow",
    "p, org:3, task, global, view, r.obj.org == 3 || r.obj.org == 4, allow",
    "g, user:5, role:monitor\np, role:monitor, *, global, view, True, allow",
    "g, org:3, role:monitor\np, role:monitor, node, global, view, r.obj.status == 'online', allow",
    "g, role:viewer, role:monitor\np, role:monitor, port, collaboration, view, True, allow",
    "p, role:13, task, global, view, timeMatch('2026-01-01 00:00:00', '2027-07-01 00:00:00'), allow",
    "p, role:13, task, global, view, timeMatch('_', '2027-07-01'), allow",
    "p, role:13, *, global, view, True, allow, valid_from=2026-01-01, valid_until=2026-12-31",
    "p, role:13, task, global, view, r.obj.image == 'a', allow, valid_until=2027-01-01",
    "p, role:13, task, global, view, True, allow, valid_until=2027-01-01\n"
    "p, role:13, task, global, view, r.obj.image == 'a', allow",
    "p, role:13, task, global, view, True, allow, valid_from=2027-01-01\n"
    "p, role:13, task, global, view, True, allow, valid_until=2026-12-01",
    "p, user:5, user, global, edit, meets(r.sub.changes, ('email', 'firstname')), deny",
    "p, user:5, organization, organization, edit, within(r.sub.changes, ('name', 'address1')), allow",
    "p, node:3, task, global, view, r.obj.run != 7, deny",
    "p, kind:container, task, global, view, !glob(r.obj.image, 'harbor/*'), deny",
    "p, role:12, collaboration, global, edit, r.obj.encrypted == True, allow",
    "p, role:12, organization, global, view, r.obj.country in ('NL', 'BE') && !(r.obj.domain == None), allow",
    "p, role:12, result, organization, view, r.obj.status == 'completed' && r.obj.run == 4, allow",
    "p, org:3, task, own, delete, 'role:viewer' in r.sub.roles && r.obj.id in (1, 2), allow",
    "p, org:3, task, own, delete, g(r.sub.id, 'role:viewer'), allow",
    "p, kind:user, task, global, delete, !(r.sub.id in r.obj.owners) && r.sub.account > 100, deny",
    "p,role:12,task,global,view,True,allow\n\tp ,\trole:12 , task,global , edit,True , allow  \n",
    "p, role:12, task, global, view, glob(r.obj.image, 'a/*') && glob(r.obj.image, '*:1'), allow",
    "p, role:12, task, global, view, glob(r.obj.image, 'a/*'), allow\n"
    "p, role:12, task, global, view, glob(r.obj.image, 'b/*'), allow",
    "p, role:12, task, organization, view, True, allow\np, role:12, task, organization, edit, True, allow",
    "p, role:12, task, organization, view, True, allow\np, role:12, task, own, view, True, allow",
    "p, role:12, task, own, *, True, allow\np, role:12, task, organization, view, r.obj.run == 1, allow",
    "p, role:12, policy, global, view, True, allow",
    "p, user:5, task, organization, view, True, allow\np, user:6, task, global, view, True, allow",
    "p, rule:7, task, global, view, r.obj.parent == None, allow",
    'p, role:12, task, global, view, r.obj.database == "a, b (c)", allow',
    "p, user:5, event, collaboration, view, True, deny",
    "p, role:12, node, global, view, r.sub.group == 'org:3' && r.sub.org in r.obj.orgs, allow",
]

MODELS: dict[str, tuple[tuple[str, str], ...]] = {
    "shipped": (),
    "organization means the owning one": (
        ("r.sub.org == r.obj.org", "r.sub.org == r.obj.id"),
        ("r.sub.org in r.obj.orgs", "r.sub.org == r.obj.org"),
    ),
    "no index on resources": (
        (
            '(r.obj.type == p.res || p.res == "*") && (r.act',
            '(r.obj.type == p.res || p.res == "*" || r.obj.type == "port" && p.res == "result") && (r.act',
        ),
    ),
    "no groups, kinds compared": (
        (
            "(g(r.sub.id, p.sub) || g(r.sub.kind, p.sub) || g(r.sub.group, p.sub)) && \\\n    (p.scope",
            "(g(r.sub.id, p.sub) || g(r.sub.kind, p.sub) || r.sub.group == p.sub) && \\\n    (p.scope",
        ),
    ),
    "own includes the own organization": (
        (
            'p.scope == "own" && r.sub.id in r.obj.owners)',
            'p.scope == "own" && (r.sub.id in r.obj.owners || r.obj.org == r.sub.org))',
        ),
    ),
    "negations in the matcher": (
        (
            'p.scope == "own" && r.sub.id in r.obj.owners)',
            'p.scope == "own" && !(r.sub.org in r.obj.orgs) && r.sub.id in r.obj.owners)',
        ),
    ),
    "blanks after a definition": (("r = sub, obj, act", "r = sub, obj, act  "),),
    "a comment after the matcher": (("    eval(p.cond)\n", "    eval(p.cond) # and the rest\n"),),
    "in one line": (('"global" || \\\n     ', '"global" || '),),
}

"""Random lines that admins add to the shipped policy."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.unit_of_work.lines import Values
from tests.unit_of_work.state import State
from tests.world import IMAGE

FIELDS = {
    "organization": ("name", "domain", "address1", "zipcode", "country", "public_key"),
    "collaboration": ("name", "encrypted", "organization_ids"),
    "node": ("name", "ip", "organization_id", "collaboration_id", "api_key", "config"),
    "user": ("username", "firstname", "lastname", "email", "roles", "rules", "password"),
    "role": ("name", "description", "rules"),
    "result": ("status", "log", "result", "started_at", "finished_at"),
    "policy": ("subject", "scope", "condition", "effect", "comment"),
}
"""What an edit can change, as far as random lines speak of it."""
IMAGES = (IMAGE, "registry.example/other:2", "elsewhere/x:1")
COUNTRIES = ("Germany", "Denmark", "France")

STRANGERS = ("role:everyone", "role:node", "role:container", "kind:user", "kind:node")
MEANT = ("role:any_user", "role:any_node", "role:any_container")
"""Roles that say that a line is meant for everybody of a kind."""
_SUBJECTS = (
    *("role:viewer", "role:researcher", "role:org_admin", "role:collab_admin", "role:root"),
    *STRANGERS,
)
_OF_ALL = (
    "r.obj.org == r.sub.org",
    "r.obj.org != r.sub.org",
    "r.obj.org == None",
    "meets(r.sub.collabs, r.obj.collabs)",
    "!meets(r.sub.collabs, r.obj.collabs)",
    "r.sub.org in r.obj.orgs",
    "r.obj.id != r.sub.account",
    "r.obj.org in (r.sub.org, 2)",
    "!(r.sub.id in r.obj.owners)",
    "g(r.sub.id, 'role:researcher')",
    "!meets(r.sub.roles, ('role:org_admin', 'role:root'))",
)
_OF_ONE = {
    "organization": ("r.obj.country == 'Germany'", "r.obj.country != 'Denmark'"),
    "collaboration": ("r.obj.encrypted == True", "!(r.obj.encrypted == True)"),
    "node": ("r.obj.status == 'online'", "r.obj.encrypted != True"),
    "task": (
        f"r.obj.image == '{IMAGE}'",
        "glob(r.obj.image, 'registry.example/*')",
        "r.obj.encrypted == True",
        "r.obj.parent != None",
        "r.obj.database == 'default'",
    ),
    "result": ("r.obj.status == 'pending'", "r.obj.encrypted == False", "r.obj.status != 'active'"),
}


class LineMaker:
    """Makes random lines about the rows that there are."""

    def __init__(self, chance: random.Random, state: State) -> None:
        self.chance = chance
        self._users, self._nodes = state.ids("user") or [1], state.ids("node") or [1]
        self._orgs, self._collabs = state.ids("organization"), state.ids("collaboration") or [1]
        custom = [id for (id,), row in state.tables["role"].items() if row["slug"] is None]
        self._roles = [f"role:{id}" for id in custom] or ["role:viewer"]

    def policy(self) -> list[Values]:
        """Lines to be added together."""
        count = self.chance.randint(6, 16)
        made = dict.fromkeys(("p", *self.line()) for _ in range(count))
        kinds = sorted({line[1] for line in made if line[1].startswith("role:any_")})
        edges = [("g", role.replace("role:any_", "kind:"), role) for role in kinds]
        members = dict.fromkeys(self._edge() for _ in range(self.chance.randint(0, 2)))
        return [*made, *edges, *members]

    def line(self) -> Values:
        """The fields of one line."""
        chance = self.chance
        operation = chance.choice(("create", "edit", "edit", "edit", "delete", "*"))
        resource = chance.choice((*FIELDS, "task", "port", "event", "*"))
        effect = "deny" if chance.random() < 0.4 else "allow"
        scope = chance.choice(("own", "organization", "collaboration", "global", "global"))
        condition = self._condition(resource, operation)
        if scope == "organization" and len(condition) % 2:  # about half of them
            scope = "own_organization"
        subject = self._subject()
        if subject in STRANGERS and effect == "allow":  # a policy must say that this is meant
            subject = chance.choice(MEANT)
            resource = "task" if resource == "*" else resource
            operation = "edit" if operation == "*" else operation
        return subject, resource, scope, operation, condition, effect

    def _subject(self) -> str:
        chance = self.chance
        one = chance.choice(
            (
                f"user:{chance.choice(self._users)}",
                f"node:{chance.choice(self._nodes)}",
                f"org:{chance.choice(self._orgs)}",
                chance.choice(self._roles),
            )
        )
        return one if chance.random() < 0.35 else chance.choice(_SUBJECTS)

    def _edge(self) -> Values:
        role = self.chance.choice(("role:viewer", "role:org_admin", "role:collab_admin"))
        return "g", f"org:{self.chance.choice(self._orgs)}", role

    def _condition(self, resource: str, operation: str) -> str:
        chance = self.chance
        terms = []
        if operation == "edit" and resource in FIELDS and chance.random() < 0.6:
            terms.append(self._of_changes(FIELDS[resource]))
        if not terms or chance.random() < 0.4:
            terms.append(self._of_row(resource))
        sign = chance.choice((" && ", " || "))
        return sign.join(dict.fromkeys(terms)) if "True" not in terms else terms[0]

    def _of_row(self, resource: str) -> str:
        chance = self.chance
        numbers = (
            f"{chance.choice(self._collabs)} in r.obj.collabs",
            f"!({chance.choice(self._orgs)} in r.obj.orgs)",
        )
        return chance.choice((*_OF_ALL, *numbers, *3 * _OF_ONE.get(resource, ()), *4 * ("True",)))

    def _of_changes(self, fields: Sequence[str]) -> str:
        some = self.chance.sample(fields, self.chance.randint(1, 3))
        words = "".join(f"'{field}', " for field in some).strip()
        function = self.chance.choice(("meets", "within", "!meets", "!within"))
        return f"{function}(r.sub.changes, ({words}))"

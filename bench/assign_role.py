"""How long until a role that one process assigns decides in another: see README.md in this folder.

python bench/assign_role.py [--database URL] [--users N] [--roles N] [--turns N]
"""

import argparse
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from fill import PASSWORD
from servers import logged_in, serving, settings_of
from sqlalchemy import Engine, insert, select

from v6srv import passwords
from v6srv.db import make_engine
from v6srv.model import Account, Organization, Permission, Role, RoleRule, Rule, User
from v6srv.service import setup


def fill(engine: Engine, users: int, roles: int, rules_per_role: int = 30) -> int:
    """Users of one organization with two custom roles each; returns the id of the last one."""
    chance = random.Random(1)
    with engine.begin() as connection:
        org = connection.execute(
            insert(Organization.__table__).values(name="Hospital").returning(Organization.id)
        ).scalar_one()
        rules = list(connection.scalars(select(Rule.id)))
        first = 1000
        connection.execute(
            insert(Role.__table__),
            [{"id": first + n, "name": f"r{n}", "organization_id": org} for n in range(roles)],
        )
        connection.execute(
            insert(RoleRule),
            [
                {"role_id": first + n, "rule_id": rule}
                for n in range(roles)
                for rule in chance.sample(rules, rules_per_role)
            ],
        )
        start = 1000
        connection.execute(
            insert(Account.__table__),
            [{"id": start + n, "type": "user"} for n in range(users)],
        )
        hashed = passwords.hash_password(PASSWORD)
        connection.execute(
            insert(User.__table__),
            [
                {
                    "id": start + n,
                    "username": f"u{n}",
                    "email": f"u{n}@example.org",
                    "password": hashed,
                    "organization_id": org,
                }
                for n in range(users)
            ],
        )
        connection.execute(
            insert(Permission),
            [
                {"user_id": start + n, "role_id": first + role}
                for n in range(users - 1)  # the last user has none
                for role in chance.sample(range(roles), 2)
            ],
        )
    return start + users - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--roles", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="v6srv-bench-") as folder, ExitStack() as stack:
        instance = Path(folder)
        uri = arguments.database or f"sqlite:///{folder}/bench.sqlite"
        setup.prepare(settings_of(uri, instance), passwords)
        engine = make_engine(uri)
        user = fill(engine, arguments.users, arguments.roles)
        with engine.connect() as connection:
            viewer = connection.scalar(select(Role.id).where(Role.slug == "viewer"))
        engine.dispose()
        servers = []
        for name, username in (("assigning", "root"), ("deciding", f"u{arguments.users - 1}")):
            port, _ = stack.enter_context(serving(uri, instance))
            servers.append(logged_in(port, username))
            print(f"{name} process on port {port}")
        assigning, deciding = servers
        written, known = [], []
        for turn in range(arguments.turns):
            roles, status = ([viewer], 200) if turn % 2 == 0 else ([], 403)
            started = time.perf_counter()
            assigning.send("PATCH", f"/user/{user}", {"roles": roles})
            written.append(time.perf_counter() - started)
            deciding.send("GET", "/task", expect=status)  # the very next request decides by it
            known.append(time.perf_counter() - started)
    print(f"{arguments.users} users, {arguments.roles} roles of 30 rules, {arguments.turns} turns")
    print(f"assign:                     p50 {1000 * statistics.median(written):.1f} ms")
    print(f"... and decided elsewhere:  p50 {1000 * statistics.median(known):.1f} ms")


if __name__ == "__main__":
    main()

"""What it costs to change a role, by the number of roles: see README.md in this folder.

python bench/change_role.py [--database URL] [--turns N] [ROLES ...]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from assign_role import fill
from servers import logged_in, serving, settings_of
from sqlalchemy import func, select

from v6srv import migrations, passwords
from v6srv.db import make_engine
from v6srv.model import Role, Rule
from v6srv.service import setup


def measure(uri: str, instance: Path, roles: int, turns: int) -> dict[str, float]:
    """Milliseconds (medians) of one number of roles, in turns."""
    setup.prepare(settings_of(uri, instance), passwords)
    engine = make_engine(uri)
    fill(engine, 100, roles)
    with engine.connect() as connection:
        rules = list(connection.scalars(select(Rule.id).order_by(Rule.id)))
        role = connection.scalar(select(func.max(Role.id)))
    engine.dispose()
    took: dict[str, list[float]] = {}
    with serving(uri, instance) as (port, _):
        root = logged_in(port, "root")
        [organization, *_] = root.send("GET", "/organization")
        for turn in range(turns + 3):
            new = {"name": f"n{turn}", "description": "", "rules": rules[turn % 20 :][:30]}
            new |= {"organization_id": organization["id"]}
            some = {"rules": rules[turn % 20 :][:30]}
            name = {"name": f"Hospital {turn}"}
            steps = {
                "plain write": ("PATCH", f"/organization/{organization['id']}", name, 200),
                "change a role": ("PATCH", f"/role/{role}", some, 200),
                "the next request": ("GET", "/rule?page=1", None, 200),
                "a request": ("GET", "/rule?page=1", None, 200),
                "create a role": ("POST", "/role", new, 201),
            }
            for what, (method, path, body, status) in steps.items():
                one = root.ask(method, path, body, (status,))[0]
                if turn >= 3:
                    took.setdefault(what, []).append(1000 * one)
    return {what: statistics.median(times) for what, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("roles", type=int, nargs="*", default=[10, 100, 1000])
    arguments = parser.parse_args()
    for roles in arguments.roles:
        with tempfile.TemporaryDirectory(prefix="v6srv-bench-") as folder:
            uri = arguments.database or f"sqlite:///{folder}/bench.sqlite"
            found = measure(uri, Path(folder), roles, arguments.turns)
            if arguments.database:
                migrations.drop_all(uri)
        plain = found["plain write"]
        told = (f"{what} {ms:.1f} ms ({ms / plain:.1f} x)" for what, ms in found.items())
        print(f"{roles:5} roles of 30 rules: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()

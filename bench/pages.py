"""Pages of the console beside the JSON of the same rows: see README.md in this folder.

python bench/pages.py [--database URL] [--turns N] [PAGE ...]
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

from fill import PASSWORD, Filled, Size
from servers import Failed, Server, logged_in, prepare, serving, settings_of

from tests.support import counting
from v6srv import db, migrations
from v6srv.app import create_app
from v6srv.identity.page_session import COOKIE

WARM_UP = 3
PEOPLE = {"root": "root", "admin": "user40"}
"""Who looks: root, and an administrator of an organization, of whom lines have conditions."""
SIZE = 25
"""Rows of a page of a list."""


@dataclass(frozen=True)
class Page:
    """One kind of page, and where the rows that it shows are as JSON."""

    name: str
    path: str
    json: tuple[str, ...]
    """The row that it is about or the list first, then what else it shows in full."""


def pages(data: Filled, ids: dict[str, int]) -> Iterator[Page]:
    """Every kind there is, as far as it shows rows."""
    for name in ("task", "role", "user"):
        yield Page(f"list: {name}", f"/{name}", (f"/api/{name}?page=1&per_page={SIZE}",))
    for name in ("organization", "collaboration", "node", "study", "algorithmstore"):
        yield Page(f"list: {name}", f"/{name}", (f"/v4/api/{name}?page=1&per_page={SIZE}",))
    at = {
        "task": data.task_ids[0],
        "result": data.open_result_ids[0],
        "role": data.role_ids[0],
        **ids,
    }
    for name, id in at.items():
        yield Page(name, f"/{name}/{id}", (f"/api/{name}/{id}", *_more(name, id)))
    of_4 = {
        "organization": data.organization_id,
        "collaboration": data.collaboration_ids[0],
        "node": data.node_id,
    }
    for name, id in of_4.items():
        yield Page(name, f"/{name}/{id}", (f"/v4/api/{name}/{id}", *_more(name, id)))
        yield Page(f"form: {name}", f"/{name}/{id}/edit", (f"/v4/api/{name}/{id}",))
    yield Page("form: user", f"/user/{at['user']}/edit", (f"/api/user/{at['user']}", "/api/rule"))
    yield Page("form: role", f"/role/{at['role']}/edit", (f"/api/role/{at['role']}", "/api/rule"))
    yield Page("account", "/account", (f"/api/user/{at['user']}", "/api/rule"))
    now = ("/v4/api/node", "/api/result?page=1&per_page=100", "/api/event")
    yield Page("overview", "/", now)


def _more(name: str, id: int) -> tuple[str, ...]:
    """What a page of a row shows of other rows in full."""
    if name == "collaboration":
        kinds = ("organization", "node", "study", "algorithmstore")
        return tuple(f"/v4/api/{kind}?collaboration_id={id}" for kind in kinds)
    if name == "organization":
        kinds = ("collaboration", "node", "user", "role")
        return tuple(f"/v4/api/{kind}?organization_id={id}&per_page=12" for kind in kinds)
    return {"task": (f"/api/result?task_id={id}",), "role": ("/api/rule",)}.get(name, ())


class Browser(Server):
    """A kept connection of somebody who has logged in at the console."""

    def __init__(self, port: int, username: str) -> None:
        super().__init__(port, "")
        form = urlencode({"username": username, "password": PASSWORD})
        own = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Sec-Fetch-Site": "same-origin",
        }
        self.connection.request("POST", "/console/login", form, own)
        answer = self.connection.getresponse()
        answer.read()
        self.headers["Cookie"] = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        if not self.headers["Cookie"].startswith(COOKIE):
            raise Failed(f"{username} cannot log in: {answer.status}")


def measured(page: Page, browser: Server, api: Server, turns: int) -> dict[str, float]:
    """Milliseconds (medians), in turns, so that whatever else the machine does meets all."""
    took: dict[str, list[float]] = {"page": [], "row": [], "rows": []}
    for turn in range(turns + WARM_UP):
        shown = browser.ask("GET", f"/console{page.path}")[0]
        each = [api.ask("GET", path)[0] for path in page.json]
        if turn >= WARM_UP:
            for name, seconds in (("page", shown), ("row", each[0]), ("rows", sum(each))):
                took[name].append(1000 * seconds)
    return {name: statistics.median(times) for name, times in took.items()}


def statements(found: list[Page], uri: str, instance: Path, username: str) -> dict[str, list[int]]:
    """How many each request takes that measures a page, counted in this process; the page first.

    Pages that this person may not see are left out.
    """
    app = create_app(settings_of(uri, instance))
    client, counts = app.test_client(), {}
    login = {"username": username, "password": PASSWORD}
    own = {"Sec-Fetch-Site": "same-origin"}
    client.post("/console/login", data=login, headers=own)
    token = client.post("/api/token/user", json=login).get_json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for page in found:
        counted = []
        for path in (f"/console{page.path}", *page.json):
            for _ in range(2):  # the second time nothing is new
                with counting() as sent:
                    answer = client.get(path, headers=None if path.startswith("/con") else headers)
            if answer.status_code == 403:
                break
            if answer.status_code != 200:
                raise Failed(f"{path}: {answer.status_code} where its statements are counted")
            counted.append(len(sent))
        else:
            counts[page.name] = counted
    engine = db.session.get_bind()
    db.session.remove()
    engine.dispose()
    return counts


def _ids(port: int, data: Filled) -> dict[str, int]:
    """A study is added, and a user found."""
    root = logged_in(port, "root")
    root.prefix = "/v4/api"
    study = {
        "name": "subgroup",
        "collaboration_id": data.collaboration_ids[0],
        "organization_ids": list(data.member_ids[:3]),
    }
    root.send("POST", "/study", study, expect=201)
    own = f"/user?organization_id={data.organization_id}&username=user40"
    return {"user": root.send("GET", own)["data"][0]["id"]}


@dataclass(frozen=True)
class Found:
    """What was measured of a page for one person."""

    ms: dict[str, float]
    statements: list[int]
    """Of the page first."""

    def times(self, what: str) -> str:
        """The page as a multiple of the JSON."""
        return f"{self.ms['page'] / self.ms[what]:.1f}"


def measure(uri: str, instance: Path, turns: int, wanted: list[str]) -> None:
    """Print a table: in each cell what was measured for each of PEOPLE."""
    data = prepare(uri, instance, Size(roles=20, tasks=1000))
    found: dict[str, dict[str, Found]] = {}
    with serving(uri, instance) as (port, _):
        chosen = [
            page for page in pages(data, _ids(port, data)) if not wanted or page.name in wanted
        ]
        for who, username in PEOPLE.items():
            counts = statements(chosen, uri, instance, username)
            browser, api = Browser(port, username), logged_in(port, username)
            api.prefix = ""
            for page in (page for page in chosen if page.name in counts):
                ms = measured(page, browser, api, turns)
                found.setdefault(page.name, {})[who] = Found(ms, counts[page.name])
                print(f"{page.name}, {who}: {ms['page']:.1f} ms", file=sys.stderr, flush=True)
    print(f"{' / '.join(PEOPLE)}\n")
    print("| page | ms | x JSON of the row | x JSON of all it shows | statements: JSON, page |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, each in found.items():
        columns = [
            [f"{one.ms['page']:.1f}" for one in each.values()],
            [one.times("row") for one in each.values()],
            [one.times("rows") for one in each.values()],
            [f"{sum(one.statements[1:])}, {one.statements[0]}" for one in each.values()],
        ]
        print(f"| {name} | {' | '.join(' / '.join(cells) for cells in columns)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("pages", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="v6srv-bench-") as folder:
        uri = arguments.database or f"sqlite:///{folder}/bench.sqlite"
        measure(uri, Path(folder), arguments.turns, arguments.pages)
        if arguments.database:
            migrations.drop_all(uri)


if __name__ == "__main__":
    main()

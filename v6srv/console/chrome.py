"""What is around every page: the menu of what this person may look at, and who that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.offers import Offers
from v6srv.authz.principal import Principal
from v6srv.vocabulary import Resource
from v6srv.wire.version import VERSION


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the menu, there for who may view any row of `resource`."""

    title: str
    endpoint: str
    resource: Resource | None = None
    """None: for everybody."""
    whole: bool = False
    """Only for who may view the resource as a whole."""


MENU = (
    Entry("Overview", "overview"),
    Entry("Tasks", "tasks", Resource.TASK),
    Entry("Organizations", "organizations", Resource.ORGANIZATION),
    Entry("Collaborations", "collaborations", Resource.COLLABORATION),
    Entry("Studies", "studies", Resource.STUDY),
    Entry("Nodes", "nodes", Resource.NODE),
    Entry("Users", "users", Resource.USER),
    Entry("Roles", "roles", Resource.ROLE),
    Entry("Algorithm stores", "algorithm_stores", Resource.COLLABORATION),
    Entry("Policy", "policy", Resource.POLICY, whole=True),
)


def of(who: Principal, authz: Authorizer, may: Offers) -> Mapping[str, Any]:
    """For a page of `who`."""
    return {
        "may": may,
        "me": who,
        "menu": [_line(entry) for entry in MENU if _is_offered(entry, may)],
        "policy_version": authz.policy.version,
        "version": VERSION,
    }


def of_nobody() -> Mapping[str, Any]:
    """For a page of who has not logged in."""
    return {"may": None, "me": None, "menu": [], "policy_version": None, "version": VERSION}


def _is_offered(entry: Entry, may: Offers) -> bool:
    if entry.resource is None:
        return True
    return may.whole(entry.resource) if entry.whole else may.any(entry.resource)


def _line(entry: Entry) -> tuple[str, str, bool]:
    """Its title, where it leads, and whether this page is that one, or below it."""
    url = url_for(f"console.{entry.endpoint}")
    here = request.path.rstrip("/") == url.rstrip("/")
    below = entry.endpoint != "overview" and request.path.startswith(f"{url}/")
    return entry.title, url, here or below

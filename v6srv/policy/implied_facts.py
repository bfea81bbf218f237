"""What follows from the facts that a made-up row is given, because it is so for every real row."""

from collections.abc import Mapping
from typing import Any

from v6srv.vocabulary import Resource


def implied(of: Resource, given: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a row of this resource's table that follow from those given, such as the `orgs` of
    a node from its `org`. What is given itself goes before."""
    id, org = given.get("id"), given.get("org")
    if of is Resource.ORGANIZATION:
        return {"org": id, "orgs": _set_of(id)}
    if of is Resource.COLLABORATION:
        return {"collabs": _set_of(id)}
    if of in (Resource.USER, Resource.NODE):
        owner = None if id is None else f"{of.value}:{id}"
        return {"orgs": _set_of(org), "owners": _set_of(owner)}
    return {}


def _set_of(value: Any) -> frozenset[Any]:
    return frozenset() if value is None else frozenset({value})

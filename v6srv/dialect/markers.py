"""What only one generation of programs sends (mixed.md 2, D6): exact where it is there."""

from collections.abc import Mapping

from v6srv.vocabulary import V3, V4

NEW_RESOURCES = frozenset({"run", "study", "algorithmstore", "blobstream", "column"})

SUB_PATHS: Mapping[tuple[str, str], int] = {
    ("task", "status"): V4,
    ("token", "validate"): V4,
    ("task", "result"): V3,
    ("organization", "collaboration"): V3,
    ("organization", "node"): V3,
    ("collaboration", "task"): V3,
}
"""First and last part of a path of three."""

SUB_LISTS = frozenset(
    {("collaboration", "organization"), ("collaboration", "node"), ("role", "rule")}
)
"""Of these 4.x has all but the list."""

PARAMETERS: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "init_org_id",
            "job_id",
            "study_id",
            "store_id",
            "is_user_created",
            "sort",
            "ids",
            "no_pagination",
            "include_permissions",
            "delete_dependents",
            "algorithm_store_id",
            "only_siblings",
            "only_self",
        ),
        V4,
    ),
    "initiator_id": V3,
    "result_id": V3,
}
"""Names in the query."""

OF_BOTH = frozenset({"delete_dependents"})
"""Of these, what collaborations are deleted with in both."""

VALUES: Mapping[str, int] = {"include=runs": V4, "include=metadata": V3}


def of(method: str, path: str, query: str) -> int | None:
    """The dialect that the request shows, None where both could have sent it.

    `path` is below the base path and begins with a slash.
    """
    found = _of_path(method, path.strip("/").split("/"))
    return found or (_of_query(path, query) if query else None)


def _of_path(method: str, parts: list[str]) -> int | None:
    first = parts[0]
    if first in NEW_RESOURCES:
        return V4
    if len(parts) == 3:
        ends = first, parts[2]
        return SUB_PATHS.get(ends) or (V3 if method == "GET" and ends in SUB_LISTS else None)
    if first == "port" and method == "GET":
        return V3
    if len(parts) == 2 and (first, method) in _BY_ID:
        return _BY_ID[first, method]
    return None


_BY_ID: Mapping[tuple[str, str], int] = {("organization", "DELETE"): V4, ("result", "PATCH"): V3}


def _of_query(path: str, query: str) -> int | None:
    pairs = query.split("&")
    names: set[str] = {pair.partition("=")[0] for pair in pairs}
    if names.isdisjoint(PARAMETERS) and "include" not in names:
        return None
    if path.startswith("/collaboration"):
        names -= OF_BOTH
    for name in names:
        if name in PARAMETERS:
            return PARAMETERS[name]
    for pair in pairs:
        if pair in VALUES:
            return VALUES[pair]
    return V3 if "include=task" in pairs and path.startswith("/result") else None

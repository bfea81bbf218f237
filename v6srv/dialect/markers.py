"""What only one generation of programs sends (mixed.md 2, D6): exact where it is there."""

from collections.abc import Mapping, Set

NEW_RESOURCES = frozenset({"run", "study", "algorithmstore", "blobstream", "column"})

SUB_PATHS: Mapping[tuple[str, str], int] = {
    ("task", "status"): 4,
    ("token", "validate"): 4,
    ("task", "result"): 3,
    ("organization", "collaboration"): 3,
    ("organization", "node"): 3,
    ("collaboration", "task"): 3,
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
        4,
    ),
    "initiator_id": 3,
    "result_id": 3,
}
"""Names in the query."""

VALUES: Mapping[str, int] = {"include=runs": 4, "include=metadata": 3}


def of(method: str, path: str, query: str) -> int | None:
    """The dialect that the request shows, None where both could have sent it.

    `path` is below the base path and begins with a slash.
    """
    found = _of_path(method, path.strip("/").split("/"))
    return found or (_of_query(path, query) if query else None)


def _of_path(method: str, parts: list[str]) -> int | None:
    first = parts[0]
    if first in NEW_RESOURCES:
        return 4
    if len(parts) == 3:
        ends = first, parts[2]
        return SUB_PATHS.get(ends) or (3 if method == "GET" and ends in SUB_LISTS else None)
    if first == "port" and method == "GET":
        return 3
    if len(parts) == 2 and (first, method) in _BY_ID:
        return _BY_ID[first, method]
    return None


_BY_ID: Mapping[tuple[str, str], int] = {("organization", "DELETE"): 4, ("result", "PATCH"): 3}


def _of_query(path: str, query: str) -> int | None:
    pairs = query.split("&")
    names: Set[str] = {pair.partition("=")[0] for pair in pairs}
    if names.isdisjoint(PARAMETERS) and "include" not in names:
        return None
    for name in names:
        if name in PARAMETERS:
            return PARAMETERS[name]
    for pair in pairs:
        if pair in VALUES:
            return VALUES[pair]
    return 3 if "include=task" in pairs and path.startswith("/result") else None

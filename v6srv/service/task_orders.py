"""What the order of a task names: where it is to run, and where its image comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from sqlalchemy import or_, select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound, V6srvError
from v6srv.model import AlgorithmStore, Study, StudyMember
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is to run; it has a study and a store only if it can have them."""

    collaboration_id: int
    study_id: int | None = None
    store_id: int | None = None
    problem: V6srvError | None = None
    """Why there can be no such task: to be said once it is decided that there may be one."""


def place_of(who: Principal, authz: Authorizer, order: Mapping[str, Any]) -> Place:
    """What an order says by `collaboration_id`, `study_id` or both, and `store_id`.

    The collaboration may be unknown. Raises NotFound or Denied when nothing says which one it is.
    """
    wanted, study_id, store_id = map(order.get, ("collaboration_id", "study_id", "store_id"))
    study = None if study_id is None else session.get(Study, study_id)
    collaboration_id = study.collaboration_id if study and wanted is None else wanted
    if collaboration_id is None:
        _refuse_unknown(who, authz, study_id)
    problem = None
    if study_id is not None:
        problem = _problem_of_study(who, authz, study, order)
    if problem is None and store_id is not None and not _has_store(collaboration_id, store_id):
        problem = Invalid(f"Algorithm store id={store_id} is none of this collaboration")
    if problem is not None:
        return Place(collaboration_id, problem=problem)
    return Place(collaboration_id, study_id, store_id)


def _problem_of_study(
    who: Principal, authz: Authorizer, study: Study | None, order: Mapping[str, Any]
) -> V6srvError | None:
    unknown = NotFound(f"Study id={order['study_id']} is not found!")
    if study is None:
        return unknown
    if order.get("collaboration_id") not in (None, study.collaboration_id):
        try:
            authz.fetch(who, Resource.COLLABORATION, Operation.VIEW, study.collaboration_id)
        except Denied:
            return unknown
        return Invalid(f"Study id={study.id} is one of another collaboration")
    members = select(StudyMember.c.organization_id).where(StudyMember.c.study_id == study.id)
    strangers = {target["id"] for target in order["organizations"]} - {*session.scalars(members)}
    if strangers:
        named = ", ".join(map(str, sorted(strangers)))
        return Invalid(f"These organizations are not in the study: {named}")
    return None


def _has_store(collaboration_id: int, store_id: int) -> bool:
    here = or_(
        AlgorithmStore.collaboration_id.is_(None),
        AlgorithmStore.collaboration_id == collaboration_id,
    )
    found = select(AlgorithmStore.id).where(AlgorithmStore.id == store_id, here)
    return session.scalar(found) is not None


def _refuse_unknown(who: Principal, authz: Authorizer, study_id: int | None) -> Never:
    """NotFound for those who may view all collaborations; others learn what they would of one."""
    try:
        authz.require_whole(who, Resource.COLLABORATION, Operation.VIEW)
    except Denied:
        raise authz.refusal(who, Resource.TASK, Operation.CREATE) from None
    raise NotFound(f"Study id={study_id} is not found!")

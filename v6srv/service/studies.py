"""Studies: some of the organizations of a collaboration."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from v6srv.authz.authorizer import AllowedRows, Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import settle
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound, V6srvError
from v6srv.model import Collaboration, Member, Organization, Study, StudyMember, Task
from v6srv.model.checks import require_fit
from v6srv.service import dependents, lists, tasks
from v6srv.service.dependents import Dependents
from v6srv.vocabulary import Operation, Resource


def create(who: Principal, authz: Authorizer, fields: Mapping[str, Any]) -> Study:
    """A new study. `fields` is a loaded `wire.v4.study.StudyIn`.

    What is wrong with its members is said after the policies have decided. Raises Denied, NotFound
    or Invalid.
    """
    require_fit(Study(), fields, strict=True)
    collaboration_id, wanted = fields["collaboration_id"], fields["organization_ids"]
    if session.get(Collaboration, collaboration_id) is None:
        try:
            authz.require_whole(who, Resource.STUDY, Operation.CREATE)
        except Denied:
            raise authz.refusal(who, Resource.STUDY, Operation.CREATE) from None
        raise NotFound(f"Collaboration id={collaboration_id} is not found!")
    members, problem = _members(collaboration_id, wanted)
    study = Study(name=fields["name"], collaboration_id=collaboration_id, organizations=members)
    session.add(study)
    _decided(problem)
    return study


def change(study: Study, changes: Mapping[str, Any]) -> Study:
    """Change the fields given; `organization_ids` replaces all members. Raises as `create` does."""
    require_fit(study, changes, strict=True)
    study.name = changes.get("name", study.name)
    problem = None
    if "organization_ids" in changes:
        wanted = changes["organization_ids"]
        study.organizations, problem = _members(study.collaboration_id, wanted)
    _decided(problem)
    return study


def remove(who: Principal, authz: Authorizer, study: Study, *, with_dependents: bool) -> None:
    """Remove a study. Raises Conflict while it has tasks that are not to go with it."""
    owner, going = f"Study id={study.id}", hanging(study)
    dependents.dispose(who, authz, owner, going, go_along=with_dependents)
    session.delete(study)


def hanging(study: Study) -> Sequence[Dependents]:
    """What goes with a study."""
    return (tasks.hanging_on(Task.study_id == study.id),)


def members(who: Principal, authz: Authorizer, study: Study) -> AllowedRows:
    """The organizations of a study that `who` may view, as the wire format shows them."""
    member = select(StudyMember.c.organization_id).where(StudyMember.c.study_id == study.id)
    return authz.shown(who, Organization).where(Organization.id.in_(member))


def add_member(who: Principal, authz: Authorizer, study: Study, organization_id: int) -> None:
    """Have an organization take part; nothing changes if it does.

    Raises Invalid, or NotFound for one that `who` may not view.
    """
    lists.require_seen(who, authz, Resource.ORGANIZATION, [organization_id])
    found, problem = _members(study.collaboration_id, [organization_id])
    if problem is not None:
        raise problem
    study.organizations = list(dict.fromkeys([*study.organizations, *found]))


def remove_member(study: Study, organization_id: int) -> None:
    """Take an organization out. Raises NotFound."""
    left = [one for one in study.organizations if one.id != organization_id]
    if len(left) == len(study.organizations):
        raise NotFound(f"Organization id={organization_id} is not in study id={study.id}")
    study.organizations = left


# --- parts


def _members(
    collaboration_id: int, ids: Collection[int]
) -> tuple[list[Organization], V6srvError | None]:
    """Those of the collaboration, and what is to be said of the others."""
    here = Member.c.collaboration_id == collaboration_id, Member.c.organization_id.in_(ids)
    query = select(Organization).join(Member, Member.c.organization_id == Organization.id)
    found = list(session.scalars(query.where(*here).order_by(Organization.id)))
    strangers = sorted({*ids} - {one.id for one in found})
    if not strangers:
        return found, None
    named = ", ".join(map(str, strangers))
    return found, Invalid(f"These organizations are not in the collaboration: {named}")


def _decided(problem: V6srvError | None) -> None:
    """Say what is wrong, to those who may do it at all. Raises Denied or the problem."""
    settle()
    if problem is not None:
        raise problem

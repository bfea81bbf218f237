"""What is remembered of a version of the policy does not grow with all who ask."""

import pytest
from sqlalchemy.orm import Session

from tests.authz.one_version import OneVersion
from tests.authz.test_engine_properties import MODELS
from v6srv.authz import answer, row_query
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.source.model_conf import define
from v6srv.errors import Denied
from v6srv.model import Organization, User
from v6srv.vocabulary import Operation, PrincipalKind, Resource

MOST, ALL = 5, 20


def test_conditions_of_many_principals_are_not_all_kept(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a line of its own: a form in SQL, a query and a form for other tables for each."""
    monkeypatch.setattr(answer, "_TOO_MANY_FORMS", MOST)
    monkeypatch.setattr(row_query, "_MOST_REMEMBERED", MOST)
    session.add_all(Organization(id=id, name=f"o{id}") for id in range(1, ALL + 1))
    session.add_all(User(id=id, username=f"u{id}", organization_id=id) for id in range(1, ALL + 1))
    session.flush()
    lines = [
        Line("p", (f"user:{id}", what, "global", "view", f"r.obj.id == {id}", "allow"), f"x:{id}")
        for id in range(1, ALL + 1)
        for what in ("user", "organization")
    ]
    enforcer = Enforcer(define(MODELS["shipped"]), lines, 0)
    authz = Authorizer(OneVersion(enforcer))
    for _ in range(2):
        for id in range(1, ALL + 1):
            who = Principal(PrincipalKind.USER, id, id)
            session.expunge_all()
            row = authz.fetch(who, Resource.ORGANIZATION, Operation.VIEW, id)
            assert (row.id, row.user_ids, row.node_ids) == (id, [id], None)
            of_users = authz.fetch(who, Resource.USER, Operation.VIEW, id, Organization)
            assert of_users is row
            with pytest.raises(Denied):
                authz.fetch(who, Resource.ORGANIZATION, Operation.VIEW, id % ALL + 1)
    kept = (enforcer._rows._wheres, enforcer._rows._of_others, row_query._known[enforcer])
    assert all(0 < len(one) <= MOST for one in kept), [len(one) for one in kept]
    session.rollback()

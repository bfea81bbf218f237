"""The facts that Python reads of rows are those that SQL decides by."""

import random

import pytest
from sqlalchemy import inspect

from tests.authz.random_world import make_world
from v6srv.authz.definition import EDGE_WORDS, POLICY_WORDS
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.fields import LINE_COLUMNS, SILENT, field_names, field_of
from v6srv.authz.row_facts import row_facts
from v6srv.db import Base, connect, session
from v6srv.model import CasbinRule, Collaboration, User


@pytest.mark.parametrize("seed", range(5))
def test_row_facts_are_those_of_the_oracle(database_uri: str, seed: int) -> None:
    engine = connect(database_uri)
    Base.metadata.create_all(engine)
    try:
        world = make_world(random.Random(seed), session())
        session.flush()
        checked = 0
        for resource, rows in world.rows.items():
            model = MODELS[resource]
            known = row_facts(model, [row.id for row in rows], resource)
            assert len(known) == len(rows)
            for row in rows:
                expected = world.facts[resource, row.id]
                for name in TABLES[model].facts.keys() & vars(expected).keys():
                    assert getattr(known[row.id], name) == getattr(expected, name), (resource, name)
                    checked += 1
                assert known[row.id].type == resource
        assert checked > 50
        assert row_facts(MODELS[resource], [10**6], resource) == {}
    finally:
        session.rollback()
        session.remove()
        engine.dispose()


def test_the_fields_that_an_edit_can_change_are_those_of_the_mapper() -> None:
    """They are known before the mapper has worked out its relations, which takes its time."""
    for model in TABLES:
        attributes = set(inspect(model).attrs.keys()) - SILENT - {"id"}
        found = {field_of(model, name) for name in attributes} - {None}
        if model is User:
            found |= {"sessions", "notifications"}  # rows of another table
        if model is Collaboration:
            # Written as a field of the nodes, and in rows of stores.
            found |= {"node_ids", "algorithm_stores"}
        if model is CasbinRule:
            found = found - set(LINE_COLUMNS) | {*POLICY_WORDS, *EDGE_WORDS}
        assert field_names(model) == found

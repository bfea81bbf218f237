"""Whoever is refused is told whom to ask; who may view the policy is led to the decision."""

import re

import pytest

from tests.support import counting, store

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_those_are_named_who_could_give_the_right(visit, world):
    page = visit("researcher").get("/policy", status=403)
    asked = re.search(r"administrator of your organization \((.*?)\)", page)[1].split(", ")
    assert "org_admin" in asked
    assert "viewer" not in asked  # of the same organization, but it can give nothing
    assert "south_admin" not in asked  # can give rights, but in another one
    assert not re.search(r'href="[^"]*policy/decision', page)


def test_where_nobody_can_the_support_is_named(visit, world, app):
    page = visit("east_admin").get("/policy", status=403)
    assert app.config["SETTINGS"].smtp.username in page
    assert "administrator of your organization" not in page


def test_a_hostile_name_is_text(visit, world):
    store("user", world.user.org_admin, username="<b>admin</b>")
    page = visit("researcher").get("/policy", status=403)
    assert "&lt;b&gt;admin&lt;/b&gt;" in page
    assert "<b>admin" not in page


def test_who_may_view_the_policy_is_led_to_the_decision(visit, world, call):
    line = {"subject": f"user:{world.user.researcher}", "resource": "policy", "scope": "global"}
    line |= {"operation": "view", "effect": "allow"}
    assert call("root", "POST", "/policy/line", json=line).status_code == 201
    researcher = visit("researcher")
    page = researcher.get("/organization/new", status=403)
    path = re.search(r'href="/console(/policy/decision/[0-9a-f]+)"', page)[1]
    shown = researcher.get(path)
    assert f"user:{world.user.researcher} create organization" in shown
    assert "Explain by the policy of now" in shown


def test_a_refusal_costs_a_few_statements_however_many_there_are(visit, world):
    researcher = visit("researcher")
    with counting() as statements:
        researcher.get("/policy", status=403)
    assert len(statements) <= 12, statements

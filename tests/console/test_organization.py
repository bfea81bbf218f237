"""Pages of organizations."""

from v6srv.model import Organization


def test_somebody_sees_the_organizations_that_may_be_seen(visit, world, call):
    page = visit("viewer").get("/organization")
    seen = [row["name"] for row in call("viewer", "GET", "/organization").json]
    unseen = {row["name"] for row in call("root", "GET", "/organization").json} - {*seen}
    assert all(name in page for name in seen)
    assert unseen
    assert not any(name in page for name in unseen)
    assert "New organization" not in page
    assert "New organization" in visit("root").get("/organization")


def test_one_is_added_changed_and_removed(visit, world, app):
    root = visit("root")
    page = root.sent("/organization/new", {"name": "<b>Far & Away</b>", "country": "NL"})
    assert "&lt;b&gt;Far &amp; Away&lt;/b&gt; has been added." in page
    assert "<b>Far" not in page
    with app.app_context():
        id = Organization.get_by_name("<b>Far & Away</b>").id
    page = root.sent(f"/organization/{id}/edit", {"name": "Near", "country": ""})
    assert "Near has been changed." in page
    assert "has been changed" not in root.get(f"/organization/{id}")
    assert "Near has been removed." in root.sent(f"/organization/{id}/delete")
    assert "There is no" not in root.get("/organization")
    assert "not found" in root.get(f"/organization/{id}", status=404)


def test_what_is_refused_changes_nothing_and_says_why(visit, world, app):
    page = visit("root").sent("/organization/new", {"name": "Far", "public_key": "?"}, status=400)
    assert "not valid base64" in page
    page = visit("viewer").sent("/organization/new", {"name": "Far"}, status=403)
    assert "Ask an administrator" in page
    assert "the decision <code>" in page
    with app.app_context():
        assert Organization.get_by_name("Far") is None

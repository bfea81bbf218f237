"""The console is entered through the identity provider, and left."""

import requests

from tests.oidc.conftest import Site

OWN = {"Sec-Fetch-Site": "same-origin"}


def test_a_browser_comes_to_the_page_that_it_wanted(site: Site) -> None:
    with requests.Session() as browser:
        form = browser.get(f"{site.url}/console/organization?name=x", timeout=20)
        assert "/console/login/provider?next=" in form.text
        wanted = {"next": "/console/organization?name=x"}
        page = browser.get(f"{site.url}/console/login/provider", params=wanted, timeout=60)
        assert page.url == f"{site.url}/console/organization?name=x"
        assert "<h1>Organizations</h1>" in page.text
        assert "one_time_password" not in page.text
        out = browser.post(f"{site.url}/console/logout", headers=OWN, timeout=20)
        assert '<a href="/api/oidc/logout">' in out.text
        assert browser.get(f"{site.url}/console/", timeout=20).url.startswith(
            f"{site.url}/console/login"
        )
        assert "/api/oidc/logout" not in form.text


def test_a_link_leads_nowhere_else(site: Site) -> None:
    with requests.Session() as browser:
        wanted = {"next": "https://elsewhere.example/"}
        page = browser.get(f"{site.url}/console/login/provider", params=wanted, timeout=60)
        assert page.url == f"{site.url}/console/"

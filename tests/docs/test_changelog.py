"""CHANGELOG.md has the form of Keep a Changelog."""

import re
import tomllib

from tests.docs.pages import ROOT

KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_version_of_the_project_has_a_section() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_form_of_the_changelog() -> None:
    _, *versions = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert versions[0].startswith("[Unreleased]")
    for version in versions:
        title, *parts = re.split(r"^### ", version, flags=re.M)
        kinds = [part.splitlines()[0] for part in parts]
        assert kinds == [kind for kind in KINDS if kind in kinds], f"{title}: each once, in order"
        for kind, part in zip(kinds, parts, strict=True):
            lines = part.splitlines()[1:]
            assert "" not in "\n".join(lines).strip().split("\n"), f"{kind}: one list, no gaps"
            assert all(line.startswith(("- ", "  ")) for line in lines if line), kind

"""What is installed says under which licence it is, and has its text."""

from importlib.metadata import distributions

from tests.docs.pages import ROOT


def test_the_package_has_its_licence() -> None:
    found = list(distributions(name="v6srv"))
    assert {package.metadata["License-Expression"] for package in found} == {"Apache-2.0"}
    texts = {package.read_text("licenses/LICENSE") for package in found} - {None}
    assert texts == {(ROOT / "LICENSE").read_text()}, "run make install"

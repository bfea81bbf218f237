"""What makes numbers into a page and a picture; and that the page in docs/ is of this program."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import page
import pytest
from figures import Growth, Report, Row, percentile, sample
from picture import picture
from scenarios import NODES, RESULTS, ROLES, SCENARIOS, TASKS, Scenario

from tests.docs.pages import ROOT

DOCS = ROOT / "docs"
NAMES = [one.name for one in SCENARIOS]


def row(name: str, ours_ms: float, **others_ms: float) -> Row:
    times = {"v6srv": ours_ms, **others_ms}
    return Row(name, {server: sample([ms / 1000] * 3, 0.003, 4) for server, ms in times.items()})


REPORT = Report(
    {"cores": "2"},
    {"sqlite": [row("one <task> & more", 2, floor=1, reference=50)]},
    [row("sqlite, 8", 10, floor=5)],
    [Growth("tasks", "floor", {size: [row("a page", 3, floor=2)] for size in (10, 20)})],
    {"v6srv": (80.4, 90.2), "floor": (50.0, 51.0)},
    {"v6srv": (200, 0.5, 12.3)},
    [{"users": 5.0, "lines": 60.0, "p50_us": 2.4, "p99_us": 9.0, "build_ms": 12.0}],
)


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        ([7], 0.99, 7),
        ([3, 1, 2], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1, 100),
        (range(1, 1001), 0.99, 990),
        ([1, 2], 0.99, 2),
        ([1, 2], 0, 1),
    ],
)
def test_a_percentile_is_one_of_the_values(values, part, expected) -> None:
    assert percentile(values, part) == expected


def test_a_sample_is_in_milliseconds_and_per_answer() -> None:
    found = sample([0.001, 0.002, 0.009], 0.006)
    assert (found.count, found.p50_ms, found.p99_ms, found.cpu_ms) == (3, 2, 9, pytest.approx(2))


def test_a_multiple_needs_both() -> None:
    measured = row("x", 4, floor=2)
    assert measured.times("v6srv", "floor") == 2
    assert measured.times("reference", "v6srv") is None


def test_the_tables_say_what_was_measured() -> None:
    text = page.markdown(REPORT)
    assert "- cores: 2" in text
    assert "| one <task> & more | 2.0 / 2.0 | 2 | - | 50 | 25 | 1 / 1 / 1 | 4 / 4 / 4 |" in text
    assert "| sqlite, 8 | 10.0 / 10.0 | 1 | 5.0 / 5.0 |" in text
    assert "| a page | 3.0 ms, 1.5 x | 3.0 ms, 1.5 x |" in text
    assert "| v6srv | 80 | 90 | 200 | 0.5 | 12 |" in text
    assert "| floor | 50 | 51 | - | - | - |" in text
    assert "| 5 | 60 | 2.4 | 9.0 | 12 |" in text


def test_the_picture_is_well_formed_and_has_a_dot_for_each_number() -> None:
    drawn = ElementTree.fromstring(picture(REPORT))
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert "one <task> & more: v6srv 2 x" in titles
    assert "one <task> & more: reference 50 x" in titles
    assert "a page, 20: v6srv 1.5 x" in titles


def test_numbers_outside_the_axis_stay_in_the_picture() -> None:
    far = replace(REPORT, rows={"sqlite": [row("far", 1e9, floor=1), row("near", 1, floor=1e9)]})
    drawn = ElementTree.fromstring(picture(far))
    width = float(drawn.attrib["viewBox"].split()[2])
    for dot in drawn.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(dot.attrib["cx"]) < width


def test_only_what_is_between_the_markers_is_renewed() -> None:
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    once = page.renewed(text, "new")
    assert once == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"
    assert page.renewed(once, "new") == once


@pytest.mark.parametrize("text", ["", page.BEGIN, page.END, f"{page.END} {page.BEGIN}"])
def test_a_page_without_markers_is_refused(text: str) -> None:
    with pytest.raises(page.NoMarkers):
        page.renewed(text, "new")


def documented(title: str) -> list[str]:
    """First cells of the table below a title of docs/performance.md."""
    text = (DOCS / "performance.md").read_text()
    part = re.search(rf"^### {re.escape(title)}$(.*?)^(?:### |<!--)", text, re.M | re.S)
    assert part, title
    return re.findall(r"^\| (.*?) \|", part[1], re.M)[2:]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_documented_table_has_the_scenarios_of_the_program(kind: str) -> None:
    assert documented(f"One request at a time, {kind}") == NAMES


@pytest.mark.parametrize(
    ("title", "scenarios"),
    [("tasks", (TASKS, RESULTS)), ("nodes of one collaboration", (NODES,)), ("roles", ROLES)],
)
def test_the_documented_growth_has_them_too(title: str, scenarios: tuple[Scenario, ...]) -> None:
    assert documented(f"Growth: {title}") == [one.name for one in scenarios]


def test_the_documented_picture_has_them_too() -> None:
    drawn = ElementTree.parse(DOCS / "performance.svg")
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert set(NAMES) <= set(texts)

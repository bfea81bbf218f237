"""The report as a picture: times of the floor on a logarithmic axis, and what grows."""

import math
from html import escape

from figures import Growth, Report, Row

COLOURS = {"v6srv": "#0b6e4f", "reference": "#b5651d"}
WIDTH, LEFT, LINE = 860, 250, 22
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
STYLE = "text{font:13px sans-serif;fill:#222}.quiet{fill:#666}.rule{stroke:#ddd}.one{stroke:#666}"


def picture(report: Report) -> str:
    """An SVG: a row of dots for each kind of request, by database, then the growths."""
    parts: list[str] = []
    y = 20
    for kind, rows in report.rows.items():
        y = _panel(parts, f"One request at a time, {kind}: times of the floor", _dots(rows), y)
    for growth in report.growths:
        title = f"Growth, {growth.name}: times of the {growth.base}"
        y = _panel(parts, title, _sizes(growth), y)
    y = _legend(parts, y)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">\n'
        f"<title>v6srv beside the floor and the reference server</title>\n"
        f"<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n{body}\n</svg>\n'
    )


Dots = list[tuple[str, dict[str, float]]]
"""A line each: its name, and by server where the dot is."""


def _dots(rows: list[Row]) -> Dots:
    return [(row.name, _multiples(row, "floor")) for row in rows]


def _sizes(growth: Growth) -> Dots:
    names = [row.name for row in next(iter(growth.rows.values()))]
    return [
        (f"{name}, {size:,}", _multiples(growth.rows[size][place], growth.base))
        for place, name in enumerate(names)
        for size in growth.rows
    ]


def _multiples(row: Row, base: str) -> dict[str, float]:
    found = {server: row.times(server, base) for server in COLOURS}
    return {server: value for server, value in found.items() if value}


def _x(value: float) -> float:
    """Where a multiple is on the axis; what lies outside is at its end."""
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    part = (math.log(value) - low) / (high - low)
    return round(LEFT + min(max(part, 0), 1) * (WIDTH - LEFT - 30), 1)


def _panel(parts: list[str], title: str, dots: Dots, y: int) -> int:
    """Draw below `y`; the new end."""
    parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
    top, bottom = y + 10, y + 14 + LINE * len(dots)
    for tick in TICKS:
        kind = "one" if tick == 1 else "rule"
        parts.append(
            f'<line class="{kind}" x1="{_x(tick)}" x2="{_x(tick)}" y1="{top}" y2="{bottom}"/>'
            f'<text class="quiet" x="{_x(tick)}" y="{bottom + 14}" text-anchor="middle">'
            f"{tick:g}</text>"
        )
    for number, (name, values) in enumerate(dots):
        line = top + LINE * number + 14
        parts.append(
            f'<text x="{LEFT - 10}" y="{line + 4}" text-anchor="end">{escape(name)}</text>'
        )
        for server, value in values.items():
            parts.append(
                f'<circle cx="{_x(value)}" cy="{line}" r="5" fill="{COLOURS[server]}">'
                f"<title>{escape(name)}: {server} {value:.2g} x</title></circle>"
            )
    return bottom + 44


def _legend(parts: list[str], y: int) -> int:
    for number, (server, colour) in enumerate(COLOURS.items()):
        x = LEFT + 140 * number
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 12}" y="{y}">{server}</text>')
    return y + 20

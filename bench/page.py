"""The report as a page: tables between markers, and a picture."""

from figures import Growth, Report, Row, Sample

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class NoMarkers(Exception):
    """The page does not say where the numbers belong."""


def renewed(text: str, measured: str) -> str:
    """A page with other numbers; what people wrote around them stays."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarkers(f"{BEGIN} and {END} are wanted, in this order")
    return f"{before}{BEGIN}\n\n{measured.strip()}\n\n{END}{after}"


def markdown(report: Report) -> str:
    """All numbers."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in report.conditions.items())]
    for kind, rows in report.rows.items():
        parts += [f"### One request at a time, {kind}", _rows(rows)]
    parts += ["### Several connections at once, a page of 20 tasks", _together(report.together)]
    for growth in report.growths:
        parts += [f"### Growth: {growth.name}", _growth(growth)]
    parts += ["### Memory and sockets", _memory(report), "### Decisions", _decisions(report)]
    return "\n\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ms(one: Sample | None) -> str:
    return f"{one.p50_ms:.1f} / {one.p99_ms:.1f}" if one else "-"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _three(row: Row, what: str) -> str:
    """Of v6srv, the floor and the reference."""
    values = (getattr(row.samples.get(name), what, None) for name in SERVERS)
    return " / ".join(_number(value) for value in values)


SERVERS = ("v6srv", "floor", "reference")


def _rows(rows: list[Row]) -> str:
    head = [
        *("request", "v6srv p50 / p99 ms", "x floor", "goal", "reference p50 ms"),
        *("x faster than it", "CPU ms", "statements"),
    ]
    return _table(
        head,
        [
            [
                row.name,
                _ms(row.samples["v6srv"]),
                _number(row.times("v6srv", "floor")),
                _number(row.goal),
                _number(getattr(row.samples.get("reference"), "p50_ms", None)),
                _number(row.times("reference", "v6srv")),
                _three(row, "cpu_ms"),
                _three(row, "queries"),
            ]
            for row in rows
        ],
    )


def _together(rows: list[Row]) -> str:
    head = ["database, connections", "v6srv p50 / p99 ms", "p99 / p50", "floor p50 / p99 ms"]
    return _table(
        head,
        [
            [
                row.name,
                _ms(row.samples["v6srv"]),
                _number(row.samples["v6srv"].p99_ms / row.samples["v6srv"].p50_ms),
                _ms(row.samples["floor"]),
            ]
            for row in rows
        ],
    )


def _growth(growth: Growth) -> str:
    """A row for each request; a cell is v6srv, its multiple of the base, and the reference."""
    sizes = list(growth.rows)
    lines = []
    for rows in zip(*growth.rows.values(), strict=True):
        cells = []
        for row in rows:
            times = _number(row.times("v6srv", growth.base))
            cell = f"{row.samples['v6srv'].p50_ms:.1f} ms, {times} x"
            if "reference" in row.samples:
                cell += f" ({_number(row.samples['reference'].p50_ms)} ms)"
            cells.append(cell)
        lines.append([rows[0].name, *cells])
    return _table([f"p50, x {growth.base}", *(f"{size:,}" for size in sizes)], lines)


def _memory(report: Report) -> str:
    head = [
        "server",
        "MB when started",
        "MB afterwards",
        "sockets",
        "s until all joined",
        "KB each",
    ]
    lines = []
    for name, (start, end) in report.memory_mb.items():
        number, took, each = report.sockets.get(name, (None, None, None))
        sockets = [_number(number), _number(took), _number(each)]
        lines.append([name, f"{start:.0f}", f"{end:.0f}", *sockets])
    return _table(head, lines)


def _decisions(report: Report) -> str:
    head = ["users", "lines of policy", "p50 us", "p99 us", "built in ms"]
    return _table(
        head,
        [
            [
                *(f"{one[name]:,.0f}" for name in ("users", "lines")),
                *(f"{one[name]:.1f}" for name in ("p50_us", "p99_us")),
                f"{one['build_ms']:.0f}",
            ]
            for one in report.decisions
        ],
    )

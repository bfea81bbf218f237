"""`policy test`: does the policy do what its tests say?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error
from v6srv.errors import V6srvError

if TYPE_CHECKING:
    from v6srv.policy.testing.report import Findings

_PERCENT = click.FloatRange(0, 100)


@click.command("test")
@click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option("-k", "pattern", help="Only tests with this in their name; * and ? stand for others.")
@click.option("--coverage", is_flag=True, help="Also list the lines that no test reaches.")
@click.option("--mutate", is_flag=True, help="Also list the changes of lines that no test notices.")
@click.option("--min-coverage", type=_PERCENT, help="Fail below this share of lines.")
@click.option("--min-mutation", type=_PERCENT, help="Fail below this share of changes noticed.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    help="JSON is for scripts, JUnit XML for CI.",
)
@selected
def test(
    folder: Path | None,
    pattern: str | None,
    coverage: bool,
    mutate: bool,
    min_coverage: float | None,
    min_mutation: float | None,
    format_: str,
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
) -> None:
    """Run the tests in DIR/tests against the policies in DIR.

    DIR is the folder of policies of the instance unless it is given. Exits with 1 when a test
    fails or a wanted share is missed, and with 2 when the tests cannot be run.
    """
    from v6srv.policy.testing import report

    try:
        where = folder or choose(name, config, environment, system).policies
        findings = _run(
            where,
            pattern,
            coverage or min_coverage is not None,
            mutate or min_mutation is not None,
            {"coverage": min_coverage, "mutation": min_mutation},
        )
    except (V6srvError, OSError) as problem:
        for line in str(problem).splitlines():
            error(line)
        raise SystemExit(2) from problem
    if format_ == "json":
        click.echo(json.dumps(report.as_data(findings), indent=2))
    elif format_ == "junit":
        click.echo(report.as_junit(findings))
    else:
        click.echo(report.as_text(findings))
    raise SystemExit(0 if findings.good else 1)


def _run(
    folder: Path,
    pattern: str | None,
    with_coverage: bool,
    with_mutation: bool,
    wanted: dict[str, float | None],
) -> "Findings":
    from v6srv.authz.source.load import build
    from v6srv.policy.testing.mutation import mutate
    from v6srv.policy.testing.report import Findings
    from v6srv.policy.testing.run import coverage, read_cases, run

    enforcer = build(folder)
    report = run(enforcer, read_cases(folder, enforcer, pattern))
    covered = coverage(enforcer, report) if with_coverage else None
    mutation = mutate(enforcer, report) if with_mutation else None
    reached = {
        "coverage": covered.percent if covered else None,
        "mutation": mutation.lines.percent if mutation else None,
    }
    shortfalls = []
    for what, percent in reached.items():
        least = wanted[what]
        if least is not None and percent is not None and percent < least:
            shortfalls.append(f"{what} is {percent:.1f} %, {least:g} % are wanted")
    return Findings(report, covered, mutation, shortfalls)

"""docs/reference/doctor.md, from v6srv/cli/doctor/findings.py: what `v6srv doctor` can find."""

from v6srv.cli.doctor.findings import KINDS

_HEAD = """# What v6srv doctor can find

Generated from `v6srv/cli/doctor/findings.py` by `make docs`; do not edit. The command says it of one installation, and exits with 1 when more than
notes is found.

| Code | Severity | What it is | What to do |
|---|---|---|---|
"""


def text() -> str:
    """The page."""
    rows = (f"| `{k.slug}` | {k.severity} | {k.title} | {k.mend} |\n" for k in KINDS.values())
    return _HEAD + "".join(rows)

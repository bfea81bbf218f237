"""Write the pages that are made from code. `--check` only says which of them are stale."""

import sys
from pathlib import Path

import casbin_reference
import cli_reference
import dashboard
import decisions
import doctor_reference
import metrics_reference
import policy_reference
import settings_reference
import writes_reference

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS.parent / "examples"
PAGES = {
    DOCS / "adr" / "README.md": decisions.text,
    DOCS / "policies" / "reference.md": policy_reference.text,
    DOCS / "reference" / "casbin.md": casbin_reference.text,
    DOCS / "reference" / "cli.md": cli_reference.text,
    DOCS / "reference" / "doctor.md": doctor_reference.text,
    EXAMPLES / "monitoring" / "dashboard.json": dashboard.text,
    DOCS / "reference" / "metrics.md": metrics_reference.text,
    DOCS / "reference" / "settings.md": settings_reference.text,
    DOCS / "reference" / "writes.md": writes_reference.text,
}


def _stale(page: Path, fresh: str) -> bool:
    return not page.exists() or page.read_text() != fresh


if __name__ == "__main__":
    stale = {page: fresh for page, text in PAGES.items() if _stale(page, fresh := text())}
    if "--check" in sys.argv:
        names = ", ".join(page.name for page in stale)
        sys.exit(f"stale: {names}: run make docs" if stale else 0)
    for page, fresh in stale.items():
        page.write_text(fresh)

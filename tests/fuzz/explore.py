"""Coverage-guided fuzzing of one target with Atheris: `python -m tests.fuzz.explore NAME SECONDS`.

Begins with the corpus beside this file. What breaks a target is written to `crashes/`; make it
small, put it into the corpus under a name that says what it is, and mend the server.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
INSTRUMENTED = ["v6srv", "jwt", "marshmallow", "webargs", "flask_smorest", "socketio", "engineio"]


def main(name: str, seconds: int) -> None:
    """Search for so long; ends with an error if something was found."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed here: it has wheels for Linux on x86-64 (make fuzz)")
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz import targets
    crashes = HERE / "crashes"
    crashes.mkdir(exist_ok=True)
    found = tempfile.mkdtemp(prefix=f"v6srv-fuzz-{name}-")  # first: what is new goes there
    options = [
        sys.argv[0],
        *(found, str(HERE / "corpus" / name)),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={crashes}/{name}-",
        *("-max_len=4096", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"),
    ]
    atheris.Setup(options, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

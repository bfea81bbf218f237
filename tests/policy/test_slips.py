"""No slip of an admin goes live, and each is said in its file."""

from pathlib import Path

import pytest

from tests.policy.slips import SLIPS
from tests.policy.test_lint import TODAY, make
from v6srv.authz import clock
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError


@pytest.mark.parametrize("lines", SLIPS, ids=range(len(SLIPS)))
def test_a_slip_does_not_go_live(tmp_path: Path, lines: str) -> None:
    make(tmp_path, lines)
    with clock.stopped(TODAY), pytest.raises(PolicyError) as refused:
        build(tmp_path)
    assert "extra.csv" in {problem.file for problem in refused.value.problems}

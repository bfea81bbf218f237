"""The modules of `bench/` find each other as scripts do: in their folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "bench"))

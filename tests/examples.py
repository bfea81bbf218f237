"""How many random examples tests try: few each time, so that they stay in step, and many in `make
soak`."""

import os


def examples(few: int) -> int:
    """`few`, or as many as V6SRV_TEST_EXAMPLES says if that is more."""
    return max(few, int(os.environ.get("V6SRV_TEST_EXAMPLES", "0")))

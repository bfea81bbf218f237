"""docs/reference/metrics.md, from what a server of its own answers to `/api/metrics`."""

import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from v6srv import meters, passwords, problems
from v6srv.app import create_app
from v6srv.db import session
from v6srv.service import setup
from v6srv.settings import Settings

_HEAD = """# Metrics

Generated from a running server by `make docs`; do not edit.

`GET /api/metrics` answers them with the setting `metrics`, in the text format of Prometheus. They are those of the process that
answers ([several processes](../operations.md#monitoring)), but for those of the database: nodes, tasks, runs and the outbox
are counted anew every 15 seconds at most, and more seldom when counting takes long. No label holds a name or an id.
Counters end with `_total`; a histogram has `_bucket`, `_sum` and `_count`.

| name | type | labels | what it says |
| --- | --- | --- | --- |
"""

_SUFFIXES = {"counter": "_total", "info": "_info"}
_NOT_OURS = {"le"}


def families() -> list[Metric]:
    """What a server answers that has just been asked something, by name."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        settings = Settings(
            instance=instance,
            policies=instance / "policies",
            uri=f"sqlite:///{instance / 'database.sqlite'}",
            metrics=True,
        )
        setup.prepare(settings, passwords)
        client = create_app(settings).test_client()
        client.get("/api/version")
        logging.disable()
        meters.decision(
            "task", "view", "allow", time.perf_counter_ns()
        )  # these two show their labels
        problems.begin("documentation", "an example")
        text = client.get("/api/metrics").text
        problems.end("documentation")
        logging.disable(logging.NOTSET)
        session.remove()
    return sorted(text_string_to_metric_families(text), key=lambda family: family.name)


def text() -> str:
    """The page."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for family in families():
        name = family.name + _SUFFIXES.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels} - _NOT_OURS
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        yield f"| `{name}` | {family.type} | {shown} | {family.documentation} |\n"

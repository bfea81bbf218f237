"""What gunicorn does around the application in a worker."""

import gc
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Start what runs beside the requests, in the process that serves them."""
    from v6srv.realtime.server import start_background

    start_background(worker.app.wsgi())
    # What is loaded now stays: the collector need not look at it again at every full collection.
    gc.collect()
    gc.freeze()


def worker_exit(_server: Any, worker: Any) -> None:
    """Send what was committed until now."""
    from v6srv.realtime.server import stop_background

    stop_background(worker.app.wsgi())

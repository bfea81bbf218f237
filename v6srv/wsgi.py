"""The application for a WSGI server that supports WebSockets, from the environment's settings.

The database must be ready: `v6srv serve` sees to that before it starts the workers.
"""

from v6srv.app import create_app
from v6srv.cli import logs
from v6srv.settings import load

_settings = load()
logs.configure(_settings)
app = create_app(_settings)

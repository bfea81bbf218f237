"""Where log lines go, by the settings."""

import logging
import logging.config
from pathlib import Path

from v6srv.cli.log_lines import Json, Text
from v6srv.settings import Settings
from v6srv.settings.schema import Logging

# Chatty libraries say what the product's own log says better.
_QUIET = ("werkzeug", "socketio.server", "engineio.server", "urllib3", "alembic", "casbin")


def log_file(settings: Settings) -> Path:
    """The rotating log file of an instance (operations.md 2.2)."""
    return settings.log_folder / f"server_{settings.log_suffix}.log"


def configure(settings: Settings) -> None:
    """Log to the console and to a rotating file, as the settings say.

    Without `logging.file` there is no file. Raises OSError when the file cannot be made.
    """
    wanted = settings.logging
    handlers: dict[str, dict[str, object]] = {}
    if wanted.use_console:
        handlers["console"] = {"class": "logging.StreamHandler", "formatter": "line"}
    if wanted.file:
        path = log_file(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "formatter": "line",
            "filename": str(path),
            "maxBytes": wanted.max_size * 1024,
            "backupCount": wanted.backup_count,
            "encoding": "utf-8",
        }
    quiet = {name: {"level": "WARNING"} for name in _QUIET}
    chosen = {entry.name: {"level": entry.level} for entry in wanted.loggers}
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": _formatter(wanted)},
        "handlers": handlers,
        "root": {"level": wanted.level, "handlers": list(handlers)},
        "loggers": {**quiet, **chosen},
    }
    try:
        logging.config.dictConfig(configuration)
    except ValueError as error:
        if isinstance(error.__cause__, OSError):  # logging wraps what the file system said
            raise error.__cause__ from error
        raise


def _formatter(wanted: Logging) -> dict[str, object]:
    if wanted.output == "json":
        return {"()": Json}
    return {"()": Text, "fmt": wanted.format, "datefmt": wanted.datefmt}

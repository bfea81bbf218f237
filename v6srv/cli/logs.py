"""Where log lines go, by the settings."""

import logging
import logging.config
from pathlib import Path

from v6srv import private_files
from v6srv.cli.log_file import SharedFile
from v6srv.cli.log_lines import Json, Text
from v6srv.settings import Settings
from v6srv.settings.groups import Logging

# Chatty libraries say what the product's own log says better.
_QUIET = ("werkzeug", "socketio.server", "engineio.server", "urllib3", "alembic", "casbin")


def log_file(settings: Settings) -> Path:
    """The rotating log file of an instance (operations.md 2.2)."""
    return settings.log_folder / f"server_{settings.log_suffix}.log"


def configure(settings: Settings) -> None:
    """Log to the console and to a rotating file, as the settings say.

    Without `logging.file` there is no file. Raises OSError when the file cannot be made. Nothing
    that this process makes from now on, logs first of all, can be read by others.
    """
    private_files.keep_to_ourselves()
    wanted = settings.logging
    handlers: dict[str, dict[str, object]] = {}
    if wanted.use_console:
        handlers["console"] = {"class": "logging.StreamHandler", "formatter": "line"}
    if wanted.file:
        path = log_file(settings)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handlers["file"] = {
            "()": SharedFile,
            "formatter": "line",
            "filename": str(path),
            "max_bytes": wanted.max_size * 1024,
            "backup_count": wanted.backup_count,
        }
    loggers: dict[str, dict[str, object]] = {name: {"level": "WARNING"} for name in _QUIET}
    for entry in wanted.loggers:
        loggers.setdefault(entry.name, {})["level"] = entry.level
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": _formatter(wanted, settings.http.processes > 1)},
        "handlers": handlers,
        "root": {"level": wanted.level, "handlers": list(handlers)},
        "loggers": loggers,
    }
    try:
        logging.config.dictConfig(configuration)
    except ValueError as error:
        if isinstance(error.__cause__, OSError):  # logging wraps what the file system said
            raise error.__cause__ from error
        raise
    if settings.log_folder.is_dir():
        private_files.close(settings.log_folder.iterdir())


def _formatter(wanted: Logging, several: bool) -> dict[str, object]:
    if wanted.output == "json":
        return {"()": Json}
    return {"()": Text, "fmt": wanted.format, "datefmt": wanted.datefmt, "several": several}

"""Whether what a configuration names answers: database, message queue, mail server."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import redis
from kombu.connection import Connection
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from v6srv.settings import Settings

TIMEOUT_S = 5


def failures(settings: Settings) -> Iterator[str]:
    """A line for each that does not answer, with the reason and without a password.

    Nothing is made or changed: a SQLite file that is not there yet is made at the first start.
    """
    yield from database(settings.uri)
    if settings.rabbitmq_uri:
        yield from _queue("rabbitmq_uri", settings.rabbitmq_uri.get_secret_value())
    if settings.rate_limit_uri:
        yield from _queue("rate_limit_uri", settings.rate_limit_uri.get_secret_value())
    if "smtp" in settings.model_fields_set:
        yield from _mail_server(settings)


def database(uri: str) -> Iterator[str]:
    """A line with the reason when the database does not answer; nothing is made."""
    url = make_url(uri)
    question, options = "SELECT 1", {}
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:") or not Path(url.database).exists():
            return
        question = "SELECT count(*) FROM sqlite_master"  # SELECT 1 does not look into the file
    else:
        options["connect_timeout"] = TIMEOUT_S
    engine = create_engine(url, connect_args=options)
    try:
        with engine.connect() as connection:
            connection.execute(text(question))
    except SQLAlchemyError as error:
        yield f"uri: the database does not answer: {_reason(getattr(error, 'orig', None) or error)}"
    finally:
        engine.dispose()


def _queue(key: str, uri: str) -> Iterator[str]:
    try:
        if uri.startswith("redis"):
            with redis.Redis.from_url(
                uri, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
            ) as client:
                client.ping()
        else:
            _ask_broker(uri)
    except ValueError:  # its text quotes a part of the URI, perhaps of the password
        yield f"{key}: is not a URI: write special characters of the password as %XX"
    except (redis.RedisError, OSError) as error:
        yield f"{key}: the message queue does not answer: {_reason(error)}"


def _ask_broker(uri: str) -> None:
    with Connection(uri, connect_timeout=TIMEOUT_S) as connection:  # type: ignore[no-untyped-call]
        try:
            connection.connect()
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OSError(_reason(error)) from error


def _mail_server(settings: Settings) -> Iterator[str]:
    smtp = settings.smtp
    kind = smtplib.SMTP_SSL if smtp.MAIL_USE_SSL else smtplib.SMTP
    try:
        kind(smtp.server, smtp.port, timeout=TIMEOUT_S).close()  # it has greeted us
    except (OSError, smtplib.SMTPException) as error:
        yield f"smtp: the mail server does not answer: {_reason(error)}"


def _reason(error: object) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

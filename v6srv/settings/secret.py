"""The key that signs tokens."""

import hmac
import os
import secrets
from pathlib import Path

from v6srv import private_files
from v6srv.settings.schema import TOO_SHORT, Settings, SettingsError, is_short


def jwt_secret(settings: Settings) -> str:
    """The key that signs tokens: the configured one, else one kept in the instance folder.

    The file is made once, with mode 0600, so that restarts and further processes keep tokens valid.
    """
    if settings.jwt_secret_key:
        return settings.jwt_secret_key.get_secret_value()
    path = settings.instance / "jwt_secret"
    if path.exists():
        return _kept_secret(path)
    settings.instance.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = settings.instance / f".jwt_secret.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        os.link(fresh, path)  # fails if another process was first: then its key is the one
    except FileExistsError:
        pass
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk says no name
        raise
    finally:
        fresh.unlink()
    return _kept_secret(path)


def kept_key(settings: Settings) -> str | None:
    """As `jwt_secret`, but nothing is made or changed: None where there is no key yet."""
    if settings.jwt_secret_key:
        return settings.jwt_secret_key.get_secret_value()
    path = settings.instance / "jwt_secret"
    return _read(path) if path.exists() else None


def key_fingerprint(key: str) -> str:
    """What tells two signing keys apart and says nothing else about them."""
    return hmac.new(key.encode(), b"v6srv signing key", "sha256").hexdigest()


def _kept_secret(path: Path) -> str:
    private_files.close([path])
    return _read(path)


def _read(path: Path) -> str:
    try:
        kept = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:  # which shows bytes of the key
        raise SettingsError([f"{path} is not UTF-8: put back the key of your backup"]) from None
    if not kept:  # anybody could sign with no key at all
        raise SettingsError([f"{path} is empty: remove it, and the next start makes a new key"])
    if is_short(kept):
        raise SettingsError([f"{path}: {TOO_SHORT}"])
    return kept

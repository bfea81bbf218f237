"""All settings: one frozen object from a YAML file and the environment."""

from v6srv.settings.groups import LOG_LEVELS, DatabaseLimits, KeptEvents, Oidc, VpnServer, is_safe
from v6srv.settings.schema import QUEUES, Settings, SettingsError
from v6srv.settings.secret import jwt_secret, kept_key, key_fingerprint
from v6srv.settings.sources import (
    environments_in,
    environments_of,
    load,
    masked,
    read_environment,
)
from v6srv.vocabulary import ENVIRONMENTS

__all__ = [
    "ENVIRONMENTS",
    "LOG_LEVELS",
    "QUEUES",
    "DatabaseLimits",
    "KeptEvents",
    "Oidc",
    "Settings",
    "SettingsError",
    "VpnServer",
    "environments_in",
    "environments_of",
    "is_safe",
    "jwt_secret",
    "kept_key",
    "key_fingerprint",
    "load",
    "masked",
    "read_environment",
]

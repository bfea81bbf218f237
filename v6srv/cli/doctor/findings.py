"""What can be wrong with an installation: a code for each, how bad it is, and what to do."""

from dataclasses import dataclass

from v6srv.authz.source.codes import Severity


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    slug: str
    severity: Severity
    """`error`: it does not work, or is not safe; `warning`: it will be so; `note`: to know."""
    title: str
    """What it is, in one line."""
    mend: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found. Its text holds no secret."""

    kind: Kind
    text: str

    def as_json(self) -> dict[str, str]:
        """For scripts."""
        kind = self.kind
        shown = {"code": kind.slug, "severity": str(kind.severity)}
        return {**shown, "finding": self.text, "what_to_do": kind.mend}


KINDS: dict[str, Kind] = {}
"""Every kind by its slug, in the order in which they are looked for."""


def _kind(slug: str, severity: Severity, title: str, mend: str) -> Kind:
    assert slug not in KINDS
    KINDS[slug] = Kind(slug, severity, title, mend)
    return KINDS[slug]


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

# --- settings

SETTINGS = _kind(
    "settings-invalid",
    _ERROR,
    "A setting that is unknown, no value of its kind, or contradicts another",
    "mend the setting: docs/reference/settings.md",
)
NOT_USED = _kind(
    "setting-not-used",
    _WARNING,
    "A value that cannot be used",
    "mend the setting: another value stands in for it",
)
REMARK = _kind(
    "settings-contradict",
    _WARNING,
    "A setting that needs another one, or has less effect than it seems",
    "set what it names, or take the other one away",
)
NO_POLICIES = _kind(
    "policies-elsewhere",
    _WARNING,
    "`policies` names a folder that there is not: a start would make it",
    "mend `policies`, or make the folder",
)
DROP_ALL = _kind(
    "drop-all-allowed", _WARNING, "A command may delete everything", "set `allow_drop_all` to false"
)
OPEN = _kind(
    "no-tls",
    _WARNING,
    "Others than this machine reach the server, and no proxy is in front",
    "listen on 127.0.0.1, or put a proxy with TLS in front and set `trusted_proxies`",
)
AROUND = _kind(
    "proxy-around",
    _NOTE,
    "Others than this machine reach the server beside the proxy that is trusted",
    "see to it that only the proxy reaches this address: others could say to be anybody",
)
METRICS = _kind(
    "metrics-open",
    _WARNING,
    "Others than this machine reach the metrics",
    "let only your monitoring reach /api/metrics",
)
NO_MAIL = _kind(
    "mail-not-set",
    _WARNING,
    "No mail server is set",
    "set `smtp`: nobody can recover a lost password without",
)
CLEAR_MAIL = _kind(
    "mail-in-clear",
    _WARNING,
    "Mails with tokens leave this machine unencrypted",
    "set `smtp.MAIL_USE_TLS` or `smtp.MAIL_USE_SSL`",
)
CLEAR_QUEUE = _kind(
    "queue-in-clear",
    _NOTE,
    "Events leave this machine unencrypted",
    "use rediss:// or amqps://, or a network of its own",
)

# --- secrets

READABLE = _kind(
    "secret-readable",
    _ERROR,
    "Others may read or change configuration, key or database",
    "chmod o-rwx it, and replace what strangers have read",
)
WEAK = _kind(
    "key-weak",
    _ERROR,
    "The key that signs tokens can be guessed",
    "make a new key: docs/operations.md, changing the signing key",
)
KEY = _kind(
    "key-unusable",
    _ERROR,
    "The file with the key that signs tokens holds none",
    "put back the file of your backup, or do what it says",
)
ROOT = _kind(
    "root-password-known",
    _WARNING,
    "`root` has the password that the settings name",
    "log in as root and change it",
)
FACTORS = _kind(
    "second-factors-lost",
    _ERROR,
    "Stored second factors are encrypted with a key that is not known here",
    "put back `jwt_secret`, or list its key in `jwt_previous_keys`",
)

# --- database

MISSING = _kind(
    "database-missing",
    _NOTE,
    "There is no database yet",
    "v6srv start makes one; v6srv restore brings one back",
)
DATABASE = _kind(
    "database-unreachable", _ERROR, "The database does not answer", "start it, or mend `uri`"
)
BEHIND = _kind(
    "database-behind",
    _ERROR,
    "Its tables are those of an older release",
    "make a backup, then v6srv db upgrade",
)
FOREIGN = _kind(
    "database-foreign",
    _ERROR,
    "Its tables are those of a newer release, or of another program",
    "use the release that it says, or another `uri`",
)
CLOCK = _kind(
    "clock-differs",
    _ERROR,
    "The clock here is a minute or more from that of the database",
    "set both clocks by NTP",
)
NO_BACKUP = _kind(
    "backup-unknown",
    _NOTE,
    "Nobody said where backups are",
    "v6srv backup each day; name it here with --backup",
)
OLD_BACKUP = _kind(
    "backup-old",
    _WARNING,
    "There is no backup of the last two days",
    "look why no newer one was made",
)
BAD_BACKUP = _kind(
    "backup-damaged",
    _ERROR,
    "The newest backup is not whole, or not of this server",
    "make a new one, and look at its disk",
)

# --- policy

POLICY = _kind(
    "policy-invalid",
    _ERROR,
    "The policy files are not valid: the last valid version decides, and nothing starts",
    "v6srv policy lint; v6srv policy rollback",
)
DOUBTFUL = _kind(
    "policy-doubtful", _WARNING, "`v6srv policy lint` has warnings", "v6srv policy lint says why"
)
LACKING = _kind(
    "policy-lacks-denials",
    _WARNING,
    "The folder lacks denials or scopes that come with this release",
    "add the lines unless that is on purpose: what this release denies is allowed",
)
DIFFERENT = _kind(
    "policy-differs",
    _NOTE,
    "Its lines are not those of this release",
    "v6srv policy diff says what that changes for whom",
)
WRITABLE = _kind(
    "policy-writable",
    _ERROR,
    "Others may change the policy",
    "chmod o-w it, and look at what it says now",
)

# --- processes and services

OTHER_KEY = _kind(
    "keys-differ",
    _ERROR,
    "A process of this database signs with an unknown key",
    "give all processes the same `jwt_secret_key`",
)
OTHER_POLICY = _kind(
    "policies-differ",
    _ERROR,
    "A process of this database decides by other files",
    "make the policy folders the same",
)
NO_QUEUE = _kind(
    "no-queue",
    _ERROR,
    "Several processes serve the database, and no message queue is set",
    "set `rabbitmq_uri`, the same for all processes",
)
QUEUE = _kind(
    "queue-unreachable",
    _ERROR,
    "The message queue does not answer",
    "start it, or mend `rabbitmq_uri`",
)
COUNTER = _kind(
    "login-counter-unreachable",
    _ERROR,
    "Redis that counts failed logins does not answer",
    "start it, or mend `rate_limit_uri`",
)
MAIL = _kind(
    "mail-unreachable",
    _ERROR,
    "The mail server does not answer",
    "start the mail server, or mend `smtp`",
)
PROVIDER = _kind(
    "identity-provider-unreachable",
    _ERROR,
    "The identity provider does not answer, or not as expected",
    "mend `oidc`, or ask who runs it",
)
STOPPED = _kind("not-running", _NOTE, "No server answers", "v6srv serve")
SILENT = _kind(
    "server-silent",
    _ERROR,
    "A server is there by the database, and none answers",
    "restart it, or mend `ip` and `port` as it was started",
)
PROBLEM = _kind(
    "server-problem",
    _WARNING,
    "What `/api/health` of the server says",
    "docs/operations.md, monitoring, has a row for it",
)

# --- the machine

DISK = _kind("disk-nearly-full", _WARNING, "Less than 1 GB is left where it writes", "make room")
NO_WRITE = _kind(
    "folder-not-writable",
    _ERROR,
    "It cannot write where it has to",
    "let the account of the server write there",
)
FILES = _kind(
    "few-open-files",
    _WARNING,
    "A process may have less than 4,096 open files",
    "raise its limit (LimitNOFILE): every socket is a file",
)

BROKEN = _kind(
    "not-looked-at", _ERROR, "A check failed itself", "report it: this is a mistake of v6srv doctor"
)

"""Settings: the environment wins over the file, the file over defaults; nothing is ignored."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from v6srv.settings import (
    Settings,
    SettingsError,
    environments_of,
    jwt_secret,
    load,
    masked,
)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_without_anything_there_are_defaults() -> None:
    settings = load(environ={"V6SRV_INSTANCE": "/srv/v6"})
    assert (settings.host, settings.port, settings.api_path) == ("127.0.0.1", 5000, "/api")
    assert settings.uri == "sqlite:////srv/v6/v6srv.sqlite"
    assert settings.policies == Path("/srv/v6/policies")
    assert settings.token_expires_s == 6 * 3600
    assert settings.refresh_token_expires_s == 48 * 3600
    assert settings.password_policy.max_failed_attempts == 5
    assert settings.message_queue is None


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "application: {port: 6000, ip: 0.0.0.0, smtp: {port: 25, server: mx}}")
    settings = load(path, environ={"PORT": "7000", "V6SRV_SMTP__PORT": "26"})
    assert (settings.host, settings.port) == ("0.0.0.0", 7000)
    assert (settings.smtp.server, settings.smtp.port) == ("mx", 26)
    assert settings.name == "study"


@pytest.mark.parametrize(
    ("wanted", "port"), [(None, 2), ("prod", 2), ("test", 3), ("application", 1)]
)
def test_an_environment_is_chosen(tmp_path: Path, wanted: str | None, port: int) -> None:
    path = _file(
        tmp_path, "application: {port: 1}\nenvironments: {prod: {port: 2}, test: {port: 3}, dev: }"
    )
    assert load(path, wanted, {}).port == port


def test_the_only_environment_needs_no_name(tmp_path: Path) -> None:
    path = _file(tmp_path, "application: {}\nenvironments: {dev: {port: 4}}")
    settings = load(path, None, {})
    assert (settings.environment, settings.port) == ("dev", 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("application: {prot: 1}", "study.yaml: prot: unknown key, did you mean port?"),
        ("application: {smtp: {sever: x}}", "smtp.sever: unknown key, did you mean server?"),
        ("application: {port: many}", "study.yaml: port: Input should be a valid integer"),
        ("application: {port: 99999}", "port: Input should be less than or equal to 65535"),
        ("environments: {prud: {port: 1}}", "unknown environment, did you mean prod?"),
        ("application: [1]", "application: is not a mapping of keys"),
        ("[1, 2]", "is not a mapping of keys"),
        ("application: {", "is not YAML"),
        ("application: {logging: {level: LOUD}}", "logging.level: Value error, is not one of"),
        ("application: {uri: mysql://x/y}", "mysql is not supported"),
        *(
            (f"application: {{login_rate_limit: {text}}}", "login_rate_limit: Value error, is no")
            for text in (
                "often",
                "20",
                "0 per minute",
                "5 per fortnight",
                "5 per 9 years",
            )
        ),
        ("application: {rate_limit_uri: 'amqp://x'}", "rate_limit_uri: Value error, must start"),
        ("application: {api_path: /}", "api_path: Value error, must not be empty"),
        *(
            (f"application: {{api_path: '{path}'}}", "api_path: Value error, may only have letters")
            for path in ("/<x>", "/a b", "/a?b", "/../a", "/a//b")
        ),
        ("application: {vpn_server: {url: x}}", "vpn_server.client_id: Field required"),
        ("application: {uri: 'postgresql://u:hush@h:x/d'}", "uri: is not a database URI"),
        ("application: {name: x}", "study.yaml: name: cannot be set in a file"),
        ("application: {1: 2}", "study.yaml: 1: unknown key"),
        ("application: {rabbitmq_uri: 'http://mq'}", "rabbitmq_uri: Value error, must start with"),
        (
            "application: {logging: {format: '%(asctime'}}",
            "logging.format: Value error, is no format",
        ),
        (
            "application: {logging: {format: '%(nosuch)s'}}",
            "logging.format: Value error, is no format",
        ),
        (
            "application: {logging: {loggers: [{name: a, level: info, levle: x}]}}",
            "logging.loggers.0.levle: unknown key, did you mean level?",
        ),
        ("environments: [1]", "environments: is not a mapping of keys"),
        ("environments: {1: {port: 1}}", "environments.1: unknown environment"),
        ("environments: {acc: {port: 1}, dev: {port: 2}}", "name the environment to use: acc, dev"),
        ("application: {}", "all environments are empty"),
        (
            "application: {allow_drop_all: perhaps}",
            "allow_drop_all: Input should be a valid boolean",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(_file(tmp_path, text), None, {})
    assert said in str(refused.value)


@pytest.mark.parametrize("number", ["inf", "1e12", "-inf", "nan"])
@pytest.mark.parametrize(
    "key",
    [
        "container_token_expires_days",
        "email_token_validity_minutes",
        "watchdog_s",
        "database.lock_timeout_s",
        "database.statement_timeout_s",
        "database.tcp_user_timeout_s",
        "http.answer_timeout_s",
        "password_policy.inactivation_minutes",
        "smtp.email_token_validity_minutes",
    ],
)
def test_no_time_is_endless(key: str, number: str) -> None:
    variable = f"V6SRV_{key.replace('.', '__').upper()}"
    with pytest.raises(SettingsError, match=f"environment: {key}: Input should be"):
        load(environ={variable: number})


@pytest.mark.parametrize("key", ["token_expires_hours", "refresh_token_expires_hours"])
@pytest.mark.parametrize("hours", ["1e9", "inf", "nan"])
def test_a_token_that_would_outlive_the_calendar_lives_as_long_as_by_default(
    key: str, hours: str
) -> None:
    settings = load(environ={f"V6SRV_{key.upper()}": hours})
    assert (settings.token_expires_s, settings.refresh_token_expires_s) == (6 * 3600, 48 * 3600)
    assert any(key in line for line in settings.replaced)


@pytest.mark.parametrize("key", ["rabbitmq_uri", "rate_limit_uri"])
@pytest.mark.parametrize(
    "address", ["redis://[q", "redis://:hush#1@q:6379", "redis://:hu/sh@q", "redis://q:port/0"]
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(
    key: str, address: str
) -> None:
    with pytest.raises(SettingsError, match=f"{key}: Value error, is no URL") as refused:
        load(environ={f"V6SRV_{key.upper()}": address})
    assert "hu" not in str(refused.value)


def test_what_is_said_about_broken_yaml_does_not_quote_it(tmp_path: Path) -> None:
    path = _file(tmp_path, "application:\n  smtp: {password: hush, server: [}")
    with pytest.raises(SettingsError, match=r"study\.yaml:2:35: is not YAML") as refused:
        load(path, None, {})
    assert "hush" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe")
    for look in (load, environments_of):
        with pytest.raises(SettingsError, match="cannot be read"):
            look(path)


def test_a_file_without_environments_is_one(tmp_path: Path) -> None:
    path = _file(tmp_path, "port: 6001")
    assert load(path, None, {}).port == 6001
    assert load(path, "prod", {}).environment == "prod"
    assert environments_of(path) == ["application"]


def test_a_key_without_value_is_left_out(tmp_path: Path) -> None:
    path = _file(tmp_path, "application: {port: 6001, description: , smtp: , logging: {level: }}")
    settings = load(path, None, {})
    assert settings.smtp.port == 1025
    assert settings.logging.level == "INFO"


@pytest.mark.parametrize("text", ["off", "'off'", "''"])
def test_the_login_limit_can_be_off(tmp_path: Path, text: str) -> None:
    assert load(_file(tmp_path, f"login_rate_limit: {text}"), environ={}).login_rate_limit == ""
    assert load(environ={"V6SRV_LOGIN_RATE_LIMIT": "off"}).login_rate_limit == ""


@pytest.mark.parametrize(
    ("text", "meant"), [("off", "off"), ("'off'", "off"), ("refuse", "refuse")]
)
def test_policy_tests_can_be_off(tmp_path: Path, text: str, meant: str) -> None:
    assert load(_file(tmp_path, f"policy_tests: {text}"), environ={}).policy_tests == meant
    assert load(environ={"V6SRV_POLICY_TESTS": "off"}).policy_tests == "off"
    assert load(environ={}).policy_tests == "warn"


POSTGRESQL = "uri: 'postgresql://u:p@d/v6srv', http: {processes: 2}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("http: {processes: 2}, rabbitmq_uri: 'redis://q'", ["cannot share SQLite"]),
        (POSTGRESQL, ["need a message queue"]),
        ("http: {processes: 3}", ["cannot share SQLite", "need a message queue"]),
    ],
)
def test_several_processes_need_what_they_can_share(
    tmp_path: Path, keys: str, said: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(_file(tmp_path, f"application: {{{keys}}}"), environ={})
    for problem, words in zip(refused.value.problems, said, strict=True):
        assert words in problem


def test_several_processes_that_do_not_count_together_are_told(tmp_path: Path) -> None:
    remarks = {
        queue: list(load(_file(tmp_path, f"application: {{{keys}}}"), environ={}).remarks)
        for queue in ("redis", "amqp")
        for keys in [f"{POSTGRESQL}, rabbitmq_uri: '{queue}://q'"]
    }
    assert remarks["redis"] == []
    [told] = remarks["amqp"]
    assert "counts failed logins for itself" in told


@pytest.mark.parametrize(
    ("keys", "store"),
    [
        ("{port: 1}", None),
        ("{rabbitmq_uri: 'amqp://q'}", None),
        ("{rabbitmq_uri: 'redis://q/1'}", "redis://q/1"),
        ("{rabbitmq_uri: 'redis://q/1', rate_limit_uri: 'rediss://own'}", "rediss://own"),
        ("{rabbitmq_uri: 'amqp://q', rate_limit_uri: 'redis://own'}", "redis://own"),
    ],
)
def test_failures_are_counted_in_redis_if_there_is_one(
    tmp_path: Path, keys: str, store: str | None
) -> None:
    settings = load(_file(tmp_path, f"application: {keys}"), environ={})
    assert settings.rate_limit_store == store


@pytest.mark.parametrize("text", ["'https://a, https://b'", "[https://a, https://b]"])
def test_lists_may_be_text_with_commas(tmp_path: Path, text: str) -> None:
    path = _file(tmp_path, f"application: {{cors_origins: {text}}}")
    assert load(path, None, {}).cors_origins == ("https://a", "https://b")


@pytest.mark.parametrize(
    ("keys", "origins"),
    [
        ("{port: 1}", ("*",)),
        ("{cors_origins: []}", ()),
        ("{cors_origins: 'HTTPS://UI.Example:443/'}", ("https://ui.example",)),
        ("{cors_origins: [http://ui:80, http://ui:8080]}", ("http://ui", "http://ui:8080")),
        ("{cors_allowed_origins: [https://ui.example]}", ("https://ui.example",)),
        ("{cors_allowed_origins: [https://a], cors_origins: [https://b]}", ("https://a",)),
        ("{cors_allowed_origins: [], cors_origins: [https://b]}", ()),
    ],
)
def test_origins_are_what_browsers_call_them(
    tmp_path: Path, keys: str, origins: tuple[str, ...]
) -> None:
    settings = load(_file(tmp_path, f"application: {keys}"), environ={})
    assert settings.origins == origins


@pytest.mark.parametrize(
    "origin",
    ["ui.example", "https://*.example", "https://ui.example/app", "null", "https://u@ui.example"],
)
@pytest.mark.parametrize("key", ["cors_origins", "cors_allowed_origins"])
def test_what_is_no_origin_is_refused(tmp_path: Path, key: str, origin: str) -> None:
    """It would match nothing, or be taken for a pattern and match too much."""
    path = _file(tmp_path, f"application: {{{key}: ['{origin}']}}")
    with pytest.raises(SettingsError, match=r"is no origin such as https://ui\.example"):
        load(path, environ={})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("V6SRV_SMTP__PROT", "V6SRV_SMTP__PORT"),
        ("V6SRV_PASSWORD_POLICY__MAX_FAILED", "V6SRV_PASSWORD_POLICY__MAX_FAILED_ATTEMPTS"),
        ("V6SRV_CONFG", "V6SRV_CONFIG"),
    ],
)
def test_misspelt_variables_come_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(SettingsError, match=rf"{wrong}: unknown variable, did you mean {right}\?"):
        load(environ={wrong: "1"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("V6SRV_SERVICE_HOST", "10.0.0.7"),
        ("V6SRV_SERVICE_PORT", "5000"),
        ("V6SRV_SERVICE_PORT_HTTP", "5000"),
        ("V6SRV_PORT", "tcp://10.0.0.7:5000"),
        ("V6SRV_PORT_5000_TCP", "tcp://10.0.0.7:5000"),
        ("V6SRV_PORT_5000_TCP_PROTO", "tcp"),
        ("V6SRV_PORT_5000_TCP_PORT", "5000"),
        ("V6SRV_PORT_5000_TCP_ADDR", "10.0.0.7"),
        ("V6SRV_REDIS_SERVICE_HOST", "10.0.0.8"),  # a service v6srv-redis
        ("V6SRV_REDIS_PORT", "tcp://10.0.0.8:6379"),
        ("V6SRV_REDIS_PORT_6379_TCP_ADDR", "10.0.0.8"),
        ("V6SRV_NAME", "/proxy/v6srv"),  # docker run --link
        ("V6SRV_ENV_PYTHON_VERSION", "3.12"),
    ],
)
def test_variables_of_container_platforms_are_no_settings(variable: str, value: str) -> None:
    settings = load(environ={variable: value})
    assert (settings.port, settings.name) == (5000, "v6srv")
    assert load(environ={variable: value, "PORT": "7000"}).port == 7000


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("V6SRV_PORT", "tcp:/10.0.0.7", "port: Input should be a valid integer"),
        ("V6SRV_SERVICE", "x", "V6SRV_SERVICE: unknown variable"),
        ("V6SRV_PORT_5000", "x", "V6SRV_PORT_5000: unknown variable"),
        ("V6SRV_REDIS_PORT", "6379", "V6SRV_REDIS_PORT: unknown variable"),
        ("V6SRV_SMTP__PORT", "tcp://10.0.0.7:25", "smtp.port: Input should be a valid integer"),
        ("V6SRV_SERVER_URL", "https://x", "V6SRV_SERVER_URL: a setting of the 4.x server"),
    ],
)
def test_what_only_looks_like_them_is_refused(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(environ={variable: value})


def test_a_number_in_the_variable_sets_the_port() -> None:
    assert load(environ={"V6SRV_PORT": "7000"}).port == 7000


# Every key of a server of 3.11.1, with the kinds of values that its wizard and its manual write.
OF_3X = """
application: {}
environments:
  prod:
    description: A study
    type: prod
    ip: 0.0.0.0
    port: '5000'
    api_path: /api
    uri: sqlite:///default.sqlite
    allow_drop_all: 'False'
    jwt_secret_key: 3b0a6c5e-0000-4000-8000-3b0a6c5e0000
    token_expires_hours: '6'
    refresh_token_expires_hours: 48
    two_factor_auth: yes
    password_policy: {max_failed_attempts: 5, inactivation_minutes: 15}
    logging:
      level: debug
      file: study.log
      use_console: 'True'
      backup_count: 5
      max_size: 1024
      format: "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s"
      datefmt: "%Y-%m-%d %H:%M:%S"
      loggers: [{level: warning, name: urllib3}, {level: warning, name: socketIO-client}]
    debug: {socketio: false, flask: false}
    smtp: {port: 587, server: mx, username: v6, password: 007, MAIL_USE_TLS: 'False', MAIL_USE_SSL: no}
    support_email: help@study.example
    email_token_validity_minutes: 60
    rabbitmq_uri: amqp://v6:hush@mq:5672/v6
    vpn_server: {url: u, redirect_url: r, client_id: c, client_secret: s, portal_username: p, portal_userpass: 1}
    images: {server: registry.example/server:1, ui: registry.example/ui:1}
    image: registry.example/server:1
    ui: {enabled: true, port: 3456}
    directories: {log: /var/log/study, data: /srv/study}
  acc: {}
  test:
  dev: {}
"""


def test_a_configuration_of_3x_is_taken_whole(tmp_path: Path) -> None:
    settings = load(_file(tmp_path, OF_3X), None, {})
    assert list(settings.remarks) == []
    assert (settings.port, settings.two_factor_auth, settings.allow_drop_all) == (5000, True, False)
    assert (settings.smtp.MAIL_USE_TLS, settings.smtp.MAIL_USE_SSL) == (False, False)
    assert settings.smtp.password.get_secret_value() == "007"
    assert settings.logging.level == "DEBUG"
    assert settings.uri == "sqlite:////srv/study/default.sqlite"


OF_4X = """
server_name: demo
server_url: https://study.example
smtp: {email_from: v6@study.example}
runs_data_cleanup_days: 30
runs_data_cleanup_include_input: false
rabbitmq: {uri: amqp://mq, start_with_server: false}
password_policy: {between_user_emails_minutes: 60}
algorithm_stores: [{name: a, url: https://store.example}]
dev: {host_uri: http://host}
prometheus: {start_with_server: false, exporter_port: 7603}
large_result_store: {type: azure}
"""


def test_a_configuration_of_4x_is_called_that_key_by_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(_file(tmp_path, OF_4X), None, {})
    assert len(refused.value.problems) == 10
    assert not any("cleanup_days" in line for line in refused.value.problems)  # the same here
    assert all("a setting of the 4.x server" in line for line in refused.value.problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_url: https://x", "server_url: a setting of the 4.x server, it has no effect here"),
        ("rabbitmq: {uri: x}", "rabbitmq: a setting of the 4.x server, here it is rabbitmq_uri"),
        ("smtp: {email_from: x}", "smtp.email_from: a setting of the 4.x server, here it is"),
        ("password_policy: {between_user_emails_minutes: 1}", "minutes: a setting of the 4.x"),
    ],
)
def test_settings_of_the_4x_server_are_called_that(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(_file(tmp_path, text), None, {})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("two_factor_auth: true\nport: 1\ntwo_factor_auth: false", ["study.yaml:3:1"]),
        ("smtp: {port: 1, port: 2}\nsmtp: {}", ["study.yaml:1:17", "study.yaml:2:1"]),
        ("application: {port: 1}\napplication: {port: 2}", ["study.yaml:2:1"]),
    ],
)
def test_a_key_that_is_given_twice_is_refused_with_its_place(
    tmp_path: Path, text: str, places: list[str]
) -> None:
    for look in (load, environments_of):
        with pytest.raises(SettingsError) as refused:
            look(_file(tmp_path, text))
        assert [line.partition(": ")[0] for line in refused.value.problems] == places
        assert all("is given twice" in line for line in refused.value.problems)


def test_text_is_what_is_written(tmp_path: Path) -> None:
    """YAML alone would read an octal number, a date and a boolean."""
    text = "smtp: {password: 01234567, username: 2024-02-30}\ndescription: no\nport: '6001'"
    settings = load(_file(tmp_path, text), None, {})
    assert settings.smtp.password.get_secret_value() == "01234567"
    assert (settings.smtp.username, settings.description) == ("2024-02-30", "no")
    assert settings.port == 6001


SHORT = "0123456789012345678901234567890"


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"jwt_secret_key: .*shorter than 32 bytes") as refused:
        load(environ={"V6SRV_JWT_SECRET": SHORT})
    assert SHORT not in str(refused.value)
    assert load(environ={"V6SRV_JWT_SECRET": SHORT + "x"}).jwt_secret_key
    settings = load(environ={"V6SRV_JWT_PREVIOUS_KEYS": f"{SHORT},{SHORT}x"})
    assert settings.verifying_keys == (f"{SHORT}x",)
    [remark] = settings.remarks
    assert "verifies no token" in remark
    assert SHORT not in remark
    (tmp_path / "jwt_secret").write_text(SHORT)
    with pytest.raises(SettingsError, match=r"jwt_secret: .*shorter than 32 bytes"):
        jwt_secret(load(environ={"V6SRV_INSTANCE": str(tmp_path)}))


def test_unknown_variables_are_refused() -> None:
    with pytest.raises(
        SettingsError, match="V6SRV_PORTT: unknown variable, did you mean V6SRV_PORT"
    ):
        load(environ={"V6SRV_PORTT": "1"})
    load(environ={"V6SRV_TEST_ANYTHING": "1", "UNRELATED": "1"})


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(environ={"V6SRV_PORTT": "1", "PORT": "x", "V6SRV_SMTP__PORT": "y"})
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("False", False), ("false", False), ("0", False), ("no", False), ("True", True), ("1", True)],
)
def test_the_text_false_is_false(text: str, value: bool) -> None:
    assert load(environ={"V6SRV_ALLOW_DROP_ALL": text}).allow_drop_all is value


@pytest.mark.parametrize(
    ("access", "refresh", "seconds"),
    [
        ("0.1", "48", (21600, 172800)),  # shorter than half an hour
        ("0.5", "0.2", (1800, 172800)),  # refresh shorter than access
        ("never", "48", (21600, 172800)),
        ("nan", "48", (21600, 172800)),
        ("inf", "48", (21600, 172800)),
        ("100", "48", (360000, 720000)),  # the default refresh would be shorter than access
    ],
)
def test_lifetimes_that_cannot_be_used_are_replaced(
    access: str, refresh: str, seconds: tuple[int, int]
) -> None:
    settings = load(
        environ={"V6SRV_TOKEN_EXPIRES_HOURS": access, "V6SRV_REFRESH_TOKEN_EXPIRES_HOURS": refresh}
    )
    assert (settings.token_expires_s, settings.refresh_token_expires_s) == seconds
    assert len(settings.replaced) == 1


def test_the_type_test_has_tokens_of_a_day() -> None:
    assert load(environ={"V6SRV_TYPE": "test"}).token_expires_s == 24 * 3600


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite:///x.db", "sqlite:////srv/v6/x.db"),
        ("sqlite://", "sqlite://"),
    ],
)
def test_database_uris(given: str, used: str) -> None:
    environ = {"V6SRV_DATABASE_URL": given, "V6SRV_INSTANCE": "/srv/v6"}
    assert load(environ=environ).uri == used


def test_the_mail_token_key_may_stand_at_both_places(tmp_path: Path) -> None:
    top = _file(tmp_path, "application: {email_token_validity_minutes: 5}")
    assert load(top, None, {}).email_token_expires_s == 300
    inside = _file(tmp_path, "application: {smtp: {email_token_validity_minutes: 7}}")
    assert load(inside, None, {}).email_token_expires_s == 420


def _with_secrets(tmp_path: Path) -> Settings:
    return load(
        environ={
            "V6SRV_INSTANCE": str(tmp_path),
            "V6SRV_DATABASE_URL": "postgresql://v6:hush1@h/d",
            "V6SRV_JWT_SECRET": "hush2-and-what-makes-it-long-enough",
            "V6SRV_JWT_PREVIOUS_KEYS": "hush3,hush4",
            "V6SRV_SMTP__PASSWORD": "hush5",
            "V6SRV_RABBITMQ_URI": "amqp://v6:hush6@h/v",
            "V6SRV_ROOT_PASSWORD": "hush7",
        }
    )


def test_masked_settings_hold_no_secret(tmp_path: Path) -> None:
    settings = _with_secrets(tmp_path)
    assert settings.jwt_previous_keys == ("hush3", "hush4")
    assert settings.message_queue == "amqp://v6:hush6@h/v"
    assert "hush" not in str(masked(settings))
    assert masked(settings)["uri"] == "postgresql+psycopg://v6:***@h/d"


def test_a_password_in_the_query_of_a_uri_is_masked_too() -> None:
    settings = load(environ={"V6SRV_DATABASE_URL": "postgresql://h/d?user=v6&password=hush"})
    assert "hush" not in str(masked(settings))
    assert "hush" in settings.uri


def test_settings_show_no_secret_when_they_are_printed(tmp_path: Path) -> None:
    assert "hush" not in repr(_with_secrets(tmp_path))


def test_the_secret_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    settings = load(environ={"V6SRV_INSTANCE": str(tmp_path / "new")})
    first = jwt_secret(settings)
    assert len(first) >= 43
    assert jwt_secret(settings) == first
    assert stat.S_IMODE((tmp_path / "new" / "jwt_secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["jwt_secret"]


def test_starts_at_the_same_time_agree_on_the_secret(tmp_path: Path) -> None:
    settings = load(environ={"V6SRV_INSTANCE": str(tmp_path)})
    together = Barrier(8)

    def start(_number: int) -> str:
        together.wait(10)
        return jwt_secret(settings)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["jwt_secret"]


def test_an_empty_secret_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret").write_text("\n")
    with pytest.raises(SettingsError, match="jwt_secret is empty"):
        jwt_secret(load(environ={"V6SRV_INSTANCE": str(tmp_path)}))


def test_a_key_that_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret").write_bytes(b"\xffhush" * 10)
    with pytest.raises(SettingsError, match="jwt_secret is not UTF-8") as refused:
        jwt_secret(load(environ={"V6SRV_INSTANCE": str(tmp_path)}))
    assert refused.value.__cause__ is None
    assert "hush" not in str(refused.value)

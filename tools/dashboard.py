"""examples/monitoring/dashboard.json: a dashboard for Grafana, one panel for each question."""

import json
from typing import Any

_RATE = "$__rate_interval"
_PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("Processes", "stat", "short", 'sum(up{job="v6srv"})'),
    ("Standing problems", "stat", "short", "count(standing_problem > 0) or vector(0)"),
    ("Nodes online", "stat", "short", "max(nodes_online)"),
    ("Open tasks", "stat", "short", 'max(tasks{status="open"})'),
    ("Policies in force", "table", "short", "count by (version) (policy_info)"),
    ("Problems", "table", "short", "standing_problem > 0"),
    (
        "Answers by status",
        "timeseries",
        "reqps",
        f"sum by (status) (rate(http_requests_total[{_RATE}]))",
    ),
    (
        "Slowest of a hundred answers, by route",
        "timeseries",
        "s",
        "topk(10, histogram_quantile(0.99, sum by (route, le) "
        f"(rate(http_request_duration_seconds_bucket[{_RATE}]))))",
    ),
    (
        "Denials by resource",
        "timeseries",
        "reqps",
        f'sum by (resource) (rate(policy_decisions_total{{effect="deny"}}[{_RATE}]))',
    ),
    (
        "A decision takes (median)",
        "timeseries",
        "s",
        f"histogram_quantile(0.5, sum by (le) (rate(policy_decision_seconds_bucket[{_RATE}])))",
    ),
    ("Sockets", "timeseries", "short", "sum by (kind) (socket_connections)"),
    ("Rooms", "timeseries", "short", "sum(socket_rooms)"),
    (
        "Put out of rooms",
        "timeseries",
        "short",
        f"sum by (reason) (increase(socket_evictions_total[{_RATE}]))",
    ),
    ("Runs", "timeseries", "short", "max by (status) (runs)"),
    (
        "Logins",
        "timeseries",
        "short",
        f"sum by (kind, result) (increase(login_attempts_total[{_RATE}]))",
    ),
    ("Mails", "timeseries", "short", f"sum by (result) (increase(mail_sent_total[{_RATE}]))"),
    ("Events that wait", "timeseries", "short", "max(outbox_pending)"),
    ("Connections to the database", "timeseries", "short", "sum by (state) (database_connections)"),
    (
        "The loop is late (99 %)",
        "timeseries",
        "s",
        f"histogram_quantile(0.99, sum by (le) (rate(event_loop_lag_seconds_bucket[{_RATE}])))",
    ),
    (
        "New versions of the policy",
        "timeseries",
        "short",
        f"sum by (result) (increase(policy_reload_total[{_RATE}]))",
    ),
)
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS, _WIDTH = 24, {"stat": 6, "table": 12, "timeseries": 12}
_HEIGHT = {"stat": 4, "table": 6, "timeseries": 8}


def text() -> str:
    """The dashboard, as Grafana imports it."""
    return json.dumps(_dashboard(), indent=1) + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "v6srv",
        "title": "v6srv",
        "tags": ["v6srv"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
        },
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    """In rows, from left to right."""
    panels, x, y = [], 0, 0
    for id, (title, kind, unit, query) in enumerate(_PANELS, 1):
        width, height = _WIDTH[kind], _HEIGHT[kind]
        panels.append(
            {
                "id": id,
                "title": title,
                "type": kind,
                "datasource": _SOURCE,
                "gridPos": {"x": x, "y": y, "w": width, "h": height},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {
                        "refId": "A",
                        "datasource": _SOURCE,
                        "expr": query,
                        "instant": kind != "timeseries",
                        "format": "table" if kind == "table" else "time_series",
                    }
                ],
            }
        )
        x += width
        if x >= _COLUMNS:
            x, y = 0, y + height
    return panels

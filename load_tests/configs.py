"""The configuration of each system under test: the plainest that relays JSON and event streams."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def nginx_config(*, port: int, upstream_port: int, folder: Path, as_root: bool) -> str:
    """One worker, connections kept alive on both sides, no buffering of answers, no access log."""
    paths = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        ("user root;\n" if as_root else "")
        + f"""\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
{paths}    access_log off;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{upstream_port};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
    )


def envoy_config(*, port: int, upstream_port: int) -> str:
    """An HTTP connection manager with a router to one cluster, no access log, as JSON."""
    manager = {
        "@type": _envoy_type(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
        ),
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [_EVERYTHING_TO_MOCK]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _envoy_type("filters.http.router.v3.Router")},
            }
        ],
    }
    listener = {
        "name": "bench",
        "address": _address(port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    cluster = {
        "name": "mock",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "mock", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


def watchgate_config(
    *, ports: Mapping[str, int], upstream_port: int, models: Sequence[str], tier: int, folder: Path
) -> str:
    """Defaults, but for ports and paths: with authentication, recording and metrics, as JSON.

    Args:
        ports: of `gateway`, `console` and `ops`, and of the process's own ops port where that
            differs (`ops.gateway`).
        upstream_port: where the mock listens.
        models: served names, the same in front and behind.
        tier: of every model.
        folder: for the journal and the store.
    """
    host = "127.0.0.1"
    ops_ports = {
        name.removeprefix("ops."): port for name, port in ports.items() if name.startswith("ops.")
    }
    config: dict[str, Any] = {
        "data_dir": str(folder / "var"),
        "gateway": {"host": host, "port": ports["gateway"], "workers": 1},
        "console": {"host": host, "port": ports["console"]},
        "ops": {"host": host, "port": ports["ops"], "ports": ops_ports},
        "upstreams": [{"name": "mock", "url": f"http://{host}:{upstream_port}"}],
        "models": [
            {"name": name, "upstream": "mock", "upstream_model": name, "tier": tier}
            for name in models
        ],
        "event_log": {"kind": "journal"},
        "store": {"url": f"sqlite:///{folder}/var/watchgate.db"},
    }
    return json.dumps(config, indent=2)  # YAML includes JSON


_EVERYTHING_TO_MOCK = {
    "name": "all",
    "domains": ["*"],
    "routes": [
        # An answer may stream for longer than Envoy's default limit of 15 s.
        {"match": {"prefix": "/"}, "route": {"cluster": "mock", "timeout": "0s"}}
    ],
}


def _envoy_type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

"""The configuration of each system under test: the plainest that relays JSON and event streams."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final


def nginx_config(*, port: int, upstream_port: int, folder: Path, as_root: bool) -> str:
    """One worker, kept-alive connections, no buffering of answers, no files, no access log."""
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
    client_body_buffer_size 1m;
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


def litellm_config(*, upstream_port: int, models: Sequence[str], key: str) -> str:
    """Each model of the mock as a vLLM, a master key (it will not start without), as JSON."""
    return json.dumps(
        {
            "model_list": [
                {
                    "model_name": name,
                    "litellm_params": {
                        "model": f"hosted_vllm/{name}",
                        "api_base": f"http://127.0.0.1:{upstream_port}/v1",
                        "api_key": "none",
                    },
                }
                for name in models
            ],
            "general_settings": {"master_key": key},
            "litellm_settings": {"telemetry": False, "num_retries": 0},
        }
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """Watchgate as it can be run: `watchgate COMMAND`, every model of one tier, settings besides.

    The gateway alone can serve tier 0 only: from tier 1 a model is refused while nobody screens.
    """

    command: str
    tier: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def _blocking(mode: str, tier: int = 1, **options: int) -> Mapping[str, Any]:
    """Screens that may cut an answer off; the point lies so high that no answer here crosses it."""
    point = {"detector": "lexical", "category": "any", "threshold": 0.999, "action": "block"}
    return {
        "screening": {"tiers": {tier: {"answer": {"mode": mode, **options}}}},
        "operating_points": [point | {"part": part} for part in ("prompt", "answer")],
    }


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        "watchgate-off": Variant("gateway", tier=0),
        "watchgate-inline": Variant("gateway", tier=0, settings=_blocking("window", tier=0)),
        "watchgate-observe": Variant("up", tier=1),
        "watchgate-window": Variant("up", tier=1, settings=_blocking("window", window_chars=400)),
        "watchgate-buffer": Variant("up", tier=1, settings=_blocking("buffer")),
    }
)


def watchgate_config(
    variant: Variant,
    *,
    ports: Mapping[str, int],
    upstream_port: int,
    models: Sequence[str],
    folder: Path,
) -> str:
    """Defaults, but for ports and paths: with authentication, recording and metrics, as JSON.

    Args:
        variant: tier of every model, and settings besides.
        ports: of `gateway`, `console` and `ops`, and of the process's own ops port where that
            differs (`ops.gateway`).
        upstream_port: where the mock listens.
        models: served names, the same in front and behind.
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
            {"name": name, "upstream": "mock", "upstream_model": name, "tier": variant.tier}
            for name in models
        ],
        "event_log": {"kind": "journal"},
        "store": {"url": f"sqlite:///{folder}/var/watchgate.db"},
    }
    return json.dumps(config | dict(variant.settings), indent=2)  # YAML includes JSON


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

import json
from pathlib import Path

import yaml

from load_tests.configs import (
    VARIANTS,
    Variant,
    envoy_config,
    litellm_config,
    nginx_config,
    watchgate_config,
)


def test_nginx_keeps_connections_and_does_not_hold_events_back() -> None:
    text = nginx_config(port=8001, upstream_port=9001, folder=Path("/run/x"), as_root=False)
    assert "listen 127.0.0.1:8001;" in text
    assert "server 127.0.0.1:9001;" in text
    assert "proxy_buffering off;" in text
    assert "user root" not in text


def test_nginx_started_by_root_works_as_root_so_that_its_folder_is_its_own() -> None:
    text = nginx_config(port=8001, upstream_port=9001, folder=Path("/run/x"), as_root=True)
    assert text.startswith("user root;\n")


def test_envoy_listens_in_front_and_routes_to_the_mock_without_a_time_limit() -> None:
    resources = json.loads(envoy_config(port=8002, upstream_port=9001))["static_resources"]
    listener, cluster = resources["listeners"][0], resources["clusters"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert listener["address"]["socket_address"]["port_value"] == 8002
    assert endpoint["address"]["socket_address"]["port_value"] == 9001
    assert route == {"cluster": cluster["name"], "timeout": "0s"}


def test_watchgate_serves_every_model_of_the_mock_under_its_own_name() -> None:
    ports = {"gateway": 8003, "console": 8004, "ops": 8005, "ops.gateway": 8006}
    text = watchgate_config(
        Variant("up", tier=1),
        ports=ports,
        upstream_port=9001,
        models=["mock-20-100", "mock-1-3"],
        folder=Path("/data"),
    )
    config = yaml.safe_load(text)
    assert config["gateway"]["port"] == 8003
    assert config["ops"] == {"host": "127.0.0.1", "port": 8005, "ports": {"gateway": 8006}}
    assert config["upstreams"] == [{"name": "mock", "url": "http://127.0.0.1:9001"}]
    assert [model["upstream_model"] for model in config["models"]] == ["mock-20-100", "mock-1-3"]
    assert {model["tier"] for model in config["models"]} == {1}
    assert config["data_dir"] == "/data/var"


def test_the_settings_of_a_variant_are_those_of_watchgate() -> None:
    ports = {"gateway": 8003, "console": 8004, "ops": 8005}
    variant = VARIANTS["watchgate-window"]
    text = watchgate_config(variant, ports=ports, upstream_port=1, models=["m"], folder=Path("/d"))
    config = yaml.safe_load(text)
    assert config["screening"]["tiers"]["1"]["answer"] == {"mode": "window", "window_chars": 400}
    assert {point["action"] for point in config["operating_points"]} == {"block"}


def test_litellm_takes_each_model_from_the_mock_and_asks_for_a_key() -> None:
    config = json.loads(litellm_config(upstream_port=9001, models=["mock-1-3"], key="sk-1"))
    [model] = config["model_list"]
    assert model["litellm_params"]["api_base"] == "http://127.0.0.1:9001/v1"
    assert config["general_settings"] == {"master_key": "sk-1"}

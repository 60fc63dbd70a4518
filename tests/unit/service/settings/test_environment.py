"""Which variables of the environment set something, and which are refused."""

import pytest

from service.settings.environment import read_environment


def told(environment: dict[str, str], named: frozenset[str] = frozenset()) -> list[str]:
    return [str(mistake) for mistake in read_environment(environment, named).mistakes]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("WATCHGATE_GATEWAY_PORT", "WATCHGATE_GATEWAY__PORT"),
        ("WATCHGATE_GATWAY__PORT", "WATCHGATE_GATEWAY__PORT"),
        ("WATCHGATE_GATEWAY__PROT", "WATCHGATE_GATEWAY__PORT"),
        ("watchgate_gateway__prot", "WATCHGATE_GATEWAY__PORT"),
        ("WATCHGATE_LOGLEVEL", "WATCHGATE_LOG_LEVEL"),
        ("WATCHGATE_MODELS__0__TIER", "WATCHGATE_MODELS"),
        ("WATCHGATE_EVENT_LOG__PARTITION", "WATCHGATE_EVENT_LOG__PARTITIONS"),
        (
            "WATCHGATE_SCREENING__TIERS__1__ANSWER__MODES",
            "WATCHGATE_SCREENING__TIERS__1__ANSWER__MODE",
        ),
        ("WATCHGATE_CONFIGS", "WATCHGATE_CONFIG"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_one(misspelt: str, meant: str) -> None:
    assert told({misspelt: "secret"}) == [
        f"{misspelt}: no setting has this name; the nearest is {meant}"
    ]


def test_one_that_is_near_nothing_is_refused_too() -> None:
    assert told({"WATCHGATE_": "1"}) == [
        "WATCHGATE_: no setting has this name; docs/settings.md lists what there is"
    ]


def test_all_of_them_are_told() -> None:
    assert len(told({"WATCHGATE_GATWAY__PORT": "1", "WATCHGATE_GATWAY__HOST": "a"})) == 2


def test_a_variable_that_the_file_names_is_no_setting_and_no_mistake() -> None:
    assert told({"WATCHGATE_PEPPER": "s"}, frozenset({"WATCHGATE_PEPPER"})) == []


def test_a_setting_that_the_file_names_is_a_setting_too() -> None:
    name = "WATCHGATE_GATEWAY__PORT"
    given = read_environment({name: "1"}, {name})
    assert given.values == {"gateway": {"port": "1"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCHGATE_CONFIG", "watchgate.yaml"),
        ("WATCHGATE_SERVICE_HOST", "10.0.0.1"),
        ("WATCHGATE_SERVICE_PORT", "8080"),
        ("WATCHGATE_SERVICE_PORT_HTTP", "8080"),
        ("WATCHGATE_PORT", "tcp://10.0.0.1:8080"),
        ("WATCHGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("WATCHGATE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("WATCHGATE_PORT_8080_TCP_PROTO", "tcp"),
        ("WATCHGATE_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("WATCHGATE_GATEWAY_PORT_8080_TCP_PORT", "8080"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("WATCHGATES", "1"),
    ],
)
def test_what_kubernetes_and_others_set_is_left_alone(name: str, value: str) -> None:
    given = read_environment({name: value}, ())
    assert (given.mistakes, given.values) == ([], {})

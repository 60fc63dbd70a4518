"""Whatever stands in a file of settings, it is told in lines, never in a traceback."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from service.errors import ConfigError
from service.settings import Settings, load
from service.settings.base import EXPECTED
from service.settings.keys import variables

KEYS = sorted({str(key) for where, _ in variables() for key in where})
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("kafka")
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from([*KEYS, "name", "url"]), LEAVES), inner),
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), VALUES, min_size=1))
@tries(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_anything_is_loaded_or_refused_with_a_path_in_each_line(
    tmp_path: Path, written: dict[str, Any]
) -> None:
    path = tmp_path / "watchgate.yaml"
    path.write_text(yaml.safe_dump(written, allow_unicode=True), encoding="utf-8")
    try:
        load(path)
    except ConfigError as error:
        for line in str(error).splitlines():
            assert line.split(":")[0].split("[")[0].split(".")[0] in {*Settings.model_fields}


def test_every_pattern_of_a_setting_has_words() -> None:
    schema = Settings.model_json_schema()
    assert patterns_of(schema) <= set(EXPECTED)


def patterns_of(schema: Any) -> set[str]:  # noqa: ANN401  (whatever JSON holds)
    if isinstance(schema, list):
        return {it for inner in schema for it in patterns_of(inner)}
    if not isinstance(schema, dict):
        return set()
    own = {it for key, it in schema.items() if key == "pattern" and isinstance(it, str)}
    return own.union(*map(patterns_of, schema.values()))


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("auth: {pepper: short}", "auth.pepper"),
        ("auth: {pepper: sixteen bytes and more, previous_peppers: [short]}",
         "auth.previous_peppers[0]"),
        ("audit: {key: short}", "audit.key"),
    ],
)  # fmt: skip
def test_a_secret_that_could_be_guessed_is_a_mistake_of_the_settings(
    tmp_path: Path, line: str, where: str
) -> None:
    path = tmp_path / "watchgate.yaml"
    path.write_text(
        "upstreams: [{name: local, url: 'http://127.0.0.1:8000'}]\n"
        f"models: [{{name: m, upstream: local, tier: 1}}]\n{line}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{where}: it has 5 bytes; at least 16 are needed" in str(caught.value)
    assert "short" not in str(caught.value)

"""What the chart's schema says of its section `settings`: Watchgate's own settings.

They are what pydantic says of them, without what the chart sets itself. `${NAME}` stands for any
text, so a text with one fits whatever form is asked for.
"""

from collections.abc import Mapping
from typing import Any, Final

from service.settings import Settings

Schema = dict[str, Any]
OF_THE_CHART: Final[Mapping[str, frozenset[str]]] = {
    "Settings": frozenset({"data_dir", "ops"}),
    "Gateway": frozenset({"host", "port", "workers"}),
    "Console": frozenset({"host", "port"}),
    "Journal": frozenset({"max_bytes"}),
    "KafkaLog": frozenset({"kind"}),
    "RedisLimits": frozenset({"gateways"}),
}
"""What the chart sets itself, by section."""
NOT_HERE: Final = ("Ops", "OpsPorts", "JournalLog")
"""Sections that cannot be given."""
_SAID: Final = frozenset({"title", "default", "format", "discriminator", "writeOnly"})
"""What pydantic says that helm has no use for; a default may depend on the machine."""
_NEEDED: Final = {"log_level", "gateway", "journal", "event_log", "store", "auth", "audit"}
"""Sections that values.yaml gives and the templates count on, so that none may be null."""


def settings_schema() -> tuple[Schema, Schema]:
    """Return the schema of the section, and the definitions that it refers to."""
    whole = Settings.model_json_schema()
    definitions: Schema = whole.pop("$defs")
    for name, keys in OF_THE_CHART.items():
        section = whole if name == "Settings" else definitions[name]
        for key in keys:
            section["properties"].pop(key)
        if "required" in section:
            section["required"] = [it for it in section["required"] if it not in keys]
    kept = {name: it for name, it in definitions.items() if name not in NOT_HERE}
    whole["properties"]["event_log"] = {"$ref": "#/$defs/KafkaLog"}
    definitions["Store"]["properties"]["url"]["pattern"] = "^postgresql://"
    for key in ("upstreams", "models"):
        whole["properties"][key]["minItems"] = 1
    whole["required"] = sorted({*whole["required"], *_NEEDED, "limits", "detectors"})
    whole["description"] = "Watchgate's own settings, see docs/settings.md"
    return _for_helm(whole), {name: _for_helm(it) for name, it in kept.items()}


def _for_helm(schema: Any) -> Any:  # noqa: ANN401  (JSON)
    """Return a schema without what helm has no use for; forms of texts allow `${NAME}`."""
    if isinstance(schema, list):
        return [_for_helm(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    made: Schema = {}
    for key, value in schema.items():
        if key in {"properties", "patternProperties", "$defs"}:
            made[key] = {name: _for_helm(it) for name, it in value.items()}
        elif key == "pattern":
            made[key] = rf"({value})|\$\{{"
        elif key not in _SAID:
            made[key] = _for_helm(value)
    return made

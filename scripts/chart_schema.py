"""The chart's values.schema.json: `python -m scripts.chart_schema [--check]`.

Types and words come from values.yaml and its comments, what else is to be said of a value from
`RULES` here, and the section `settings` from Watchgate's own settings. Nothing unknown is taken.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scripts.chart_settings import settings_schema
from scripts.chart_values import CHART, VALUES, Value, values_of

Schema = dict[str, Any]
TARGET: Final = CHART / "values.schema.json"

TEXT: Final[Schema] = {"type": "string"}
NOT_EMPTY: Final[Schema] = {"type": "string", "minLength": 1}
TEXTS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
NO_NEGATIVE: Final[Schema] = {"type": "integer", "minimum": 0}
PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
PERCENT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 100}
QUANTITY: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?$"}
SIZE: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]*[KMGT]i$"}
COMPONENT: Final[Schema] = {"enum": ["gateway", "screener", "enforcer", "console", "migrate"]}


def closed(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Return the schema of a mapping that has these keys and no others."""
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
    }
    return schema | ({"required": list(required)} if required else {})


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


AMOUNTS: Final = closed({"cpu": QUANTITY, "memory": QUANTITY})
RESOURCES: Final = closed({"requests": AMOUNTS, "limits": AMOUNTS})
SELECTOR: Final = closed({"matchLabels": TEXTS, "matchExpressions": {"type": "array"}})
PEERS: Final = list_of(
    closed(
        {
            "podSelector": SELECTOR,
            "namespaceSelector": SELECTOR,
            "ipBlock": closed({"cidr": NOT_EMPTY, "except": list_of(TEXT)}, ["cidr"]),
        }
    )
    | {"minProperties": 1}
)
WAY_OUT: Final = closed({"ports": list_of(PORT), "to": PEERS})
MOUNTS: Final = list_of(
    closed(
        {
            "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$"},
            "secret": NOT_EMPTY,
            "configMap": NOT_EMPTY,
            "path": {"type": "string", "pattern": "^/."},
            "components": list_of(COMPONENT),
        },
        ["name", "path"],
    )
    | {"oneOf": [{"required": ["secret"]}, {"required": ["configMap"]}]}
)
TOLERATION: Final = closed(
    {
        **dict.fromkeys(("key", "operator", "value", "effect"), TEXT),
        "tolerationSeconds": NO_NEGATIVE,
    }
)
RULES: Final[Mapping[str, Schema]] = {
    "*.resources": RESOURCES,
    "*.annotations": TEXTS,
    "*.labels": TEXTS,
    "*.journal.maxBytes": {"type": "integer", "minimum": 4194304},
    "*.journal.size": SIZE,
    "*.stop.*": NO_NEGATIVE,
    "*.minReplicas": COUNT,
    "*.maxReplicas": COUNT,
    "*.cpuPercent": PERCENT,
    "*.maxUnavailable": COUNT,
    "*.service.port": PORT,
    "networkPolicy.egress.*": WAY_OUT,
    "fullnameOverride": {"type": "string", "maxLength": 40},
    "image.repository": NOT_EMPTY,
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.pullSecrets": list_of(NOT_EMPTY),
    "secrets.existingSecret": NOT_EMPTY,
    "secrets.env": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
        "additionalProperties": closed({"key": NOT_EMPTY, "secret": NOT_EMPTY}, ["key"]),
    },
    "env": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": TEXT,
    },
    "mounts": MOUNTS,
    "gateway.replicas": COUNT,
    "gateway.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "screener.replicas": COUNT,
    "screener.keda.lagThreshold": COUNT,
    "pod.runAsUser": {"type": ["integer", "null"], "minimum": 1},
    "pod.nodeSelector": TEXTS,
    "pod.tolerations": list_of(TOLERATION),
    "pod.zoneSpread": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
    "pod.hostAntiAffinity": {"enum": ["preferred", "required"]},
    "networkPolicy.callers": PEERS,
    "networkPolicy.administrators": PEERS,
    "networkPolicy.monitoring": PEERS,
    "networkPolicy.vllm.podLabels": TEXTS | {"minProperties": 1},
    "networkPolicy.vllm.port": PORT,
    "networkPolicy.vllm.cidrs": list_of({"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]+$"}),
    "strimzi.apiVersion": {"enum": ["kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2"]},
    "strimzi.minInsyncReplicas": COUNT,
    "strimzi.user.authentication": {"enum": ["scram-sha-512", "tls"]},
    "monitoring.podMonitor.interval": {"type": "string", "pattern": "^[1-9][0-9]*(s|m)$"},
    "links.grafana": {"type": "string", "pattern": "^https?://.+/$"},
    "links.docs": {"type": "string", "pattern": "^https?://.+/$"},
}
"""Path of a value → its schema; `*` stands for anything, and the first that fits counts."""
BOTH: Final[Schema] = {
    "if": {"properties": {"hpa": {"properties": {"enabled": {"const": True}}}}},
    "then": {"properties": {"keda": {"properties": {"enabled": {"const": False}}}}},
}
"""Of the screener: not both kinds of autoscaling."""
TYPES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schema, or with --check say whether it is stale; return 0, or 1 if it is."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    made = text_of(schema(VALUES.read_text(encoding="utf-8")))
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == made:
        return 0
    if not check:
        TARGET.write_text(made, encoding="utf-8")
    print(f"{TARGET}: {'stale: run make chart' if check else 'written'}")
    return 1 if check else 0


def text_of(made: Schema) -> str:
    """Return the file's text."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def schema(values: str) -> Schema:
    """Return the schema of the values in this text of values.yaml."""
    found = values_of(values)
    root: Schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | closed({})
    sections: dict[tuple[str, ...], Schema] = {(): root}
    whole = {keys for keys in (it.keys for it in found) if _rule(".".join(keys)) is not None}
    for value in found:
        if value.keys[0] == "settings" or any(
            value.keys[:n] in whole for n in range(len(value.keys))
        ):
            continue
        made = _schema_of(value)
        sections[value.keys[:-1]]["properties"][value.keys[-1]] = made
        sections[value.keys] = made
    of_settings, definitions = settings_schema()
    root["properties"]["settings"] = of_settings
    root["properties"]["screener"] |= BOTH
    # helm adds `global` to the values of every chart
    root["properties"]["global"] = {"type": "object"}
    return root | {"$defs": definitions}


def _schema_of(value: Value) -> Schema:
    """Return the schema of a value; one of a section has no properties yet."""
    words: Schema = {"description": value.words} if value.words else {}
    rule = _rule(value.path)
    if rule is not None:
        return words | rule
    return words | (closed({}) if value.is_section else {"type": TYPES[type(value.default)]})


def _rule(path: str) -> Schema | None:
    if path in RULES:
        return RULES[path]
    return next((rule for pattern, rule in RULES.items() if _fits(path, pattern)), None)


def _fits(path: str, pattern: str) -> bool:
    """Say whether a path fits a pattern such as `*.journal.size` or `networkPolicy.egress.*`."""
    keys, wanted = path.split("."), pattern.split(".")
    if "*" not in wanted or len(keys) < len(wanted):
        return False
    tail = keys[-len(wanted) + 1 :] if wanted[0] == "*" else keys
    rest = wanted[1:] if wanted[0] == "*" else wanted
    return len(tail) == len(rest) and all(w in {"*", k} for k, w in zip(tail, rest, strict=True))


if __name__ == "__main__":
    sys.exit(main())

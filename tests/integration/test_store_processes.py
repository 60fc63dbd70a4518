"""Several processes on one store, which begin at the same moment."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.core.callers import digest_key
from service.store import load_pepper, load_snapshot, open_store, revision
from service.store.alerts import list_alerts
from service.store.keys import list_keys

PROCESSES: Final = 4
TIMEOUT_S: Final = 120.0
GATE: Final = "import sys; print('ready', flush=True); sys.stdin.readline()\n"
"""Each process says that it has everything imported, and waits to be let go with the others."""

OPEN: Final = """
from service.store import open_store, revision
{gate}
store = open_store(sys.argv[1])
print(revision(store))
"""
PEPPER: Final = """
from pathlib import Path
from service.store import load_pepper
{gate}
print(load_pepper(Path(sys.argv[1]), None).decode())
"""
KEYS: Final = """
import argparse
from service.commands import keys
{gate}
parser = argparse.ArgumentParser()
keys.add_parser(parser.add_subparsers())
args = parser.parse_args(
    ["keys", "create", "--project", "p", "--json", "--config", sys.argv[1]]
)
for _ in range(5):
    args.run(args)
"""
ENFORCE: Final = """
import time
from service.events.log import Position, Received, Record, Topic
from service.store import open_store
from service.workers.enforcer import Enforcer
store = open_store(sys.argv[1])
bodies = open(sys.argv[2], "rb").read().splitlines()
batch = [
    Received(Record(Topic.VERDICTS, b"a", "verdict", "v", body), Position("test", 0, i))
    for i, body in enumerate(bodies)
]
actions = []
enforcer = Enforcer(store, clock=time.time, on_enforced=actions.append)
{gate}
for start in range(0, len(batch), 5):
    enforcer.handle(batch[start:start + 5])
print(len(actions))
"""


def run_at_once(program: str, *arguments: str | Path) -> list[str]:
    """Run a program in several processes, let go together; return what each printed."""
    command = [sys.executable, "-c", "import sys\n" + program.format(gate=GATE), *arguments]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = _let_go(started)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert [process.returncode for process in started] == [0] * PROCESSES
    return outputs


def _let_go(processes: Sequence["subprocess.Popen[str]"]) -> list[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]


def test_a_new_store_is_opened_by_several_at_once(empty_store_url: str) -> None:
    assert run_at_once(OPEN, empty_store_url) == ["1\n"] * PROCESSES
    assert run_at_once(OPEN, empty_store_url) == ["1\n"] * PROCESSES


def test_the_pepper_is_made_once_by_several_at_once(tmp_path: Path) -> None:
    made = set(run_at_once(PEPPER, tmp_path / "var"))
    assert made == {load_pepper(tmp_path / "var", None).decode() + "\n"}
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["pepper"]


def test_keys_made_by_several_at_once_are_all_kept_and_all_known(
    tmp_path: Path, empty_store_url: str
) -> None:
    config = tmp_path / "watchgate.yaml"
    config.write_text(
        'data_dir: var\nupstreams: [{name: local, url: "http://127.0.0.1:8000"}]\n'
        "models: [{name: m, upstream: local, tier: 1}]\n"
        f"store: {{url: {empty_store_url}}}\n"
    )
    lines = [line for output in run_at_once(KEYS, config) for line in output.splitlines()]
    made = [json.loads(line) for line in lines]
    store = open_store(empty_store_url)
    snapshot = load_snapshot(store, 0.0)
    pepper = load_pepper(tmp_path / "var", None)
    assert len(made) == len(snapshot.keys) == 5 * PROCESSES
    assert {digest_key(pepper, key["key"]) for key in made} == set(snapshot.keys)
    assert snapshot.revision == revision(store)
    assert snapshot.revision > 5 * PROCESSES
    with store.read() as connection:
        assert {key.id for key in list_keys(connection)} == {key["id"] for key in made}
    store.close()


def test_a_verdict_that_several_enforcers_read_has_one_effect(
    tmp_path: Path, empty_store_url: str
) -> None:
    url = empty_store_url
    open_store(url).close()
    bodies = tmp_path / "verdicts.jsonl"
    bodies.write_text("\n".join(_verdict(number) for number in range(30)))
    actions = [int(output) for output in run_at_once(ENFORCE, url, bodies)]
    assert sum(actions) == 30
    store = open_store(url)
    with store.read() as connection:
        assert [alert.count for alert in list_alerts(connection)] == [30]
    store.close()


def _verdict(number: int) -> str:
    crossing = ["lexical/any/prompt/page", "any", 0.99, 0.97, "page"]
    fields = ("point", "category", "score", "threshold", "action")
    return json.dumps(
        {
            "kind": "verdict",
            "exchange_id": f"ex-{number}",
            "at": 1.0 + number,
            "account": "a",
            "project": "a",
            "key": "key_a",
            "model": "m",
            "surface": "chat",
            "tier": 1,
            "id": f"v-{number}",
            "part": "prompt",
            "detector": "lexical",
            "version": "1",
            "digest": "00",
            "crossed": [dict(zip(fields, crossing, strict=True))],
        }
    )

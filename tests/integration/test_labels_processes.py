"""Labels in an installation that runs: from exchanges that were served to rows to retrain on."""

import json
import stat
from pathlib import Path

from detectors.data import read_rows
from service.events.log import Topic
from service.events.schema import Closed
from tests.real_parts.installation import Installation, installation
from tests.real_parts.serving import until

ASKED = ("What is a fold?", "How do I sort a list?")


def is_closed(one: Installation, id_: str) -> bool:
    ended = [it.exchange_id for it in one.events(Topic.EXCHANGES) if isinstance(it, Closed)]
    return id_ in ended


def test_what_was_served_is_labelled_by_command_and_over_the_api_and_exported(
    tmp_path: Path,
) -> None:
    with installation(tmp_path) as one:
        first, second = (one.chat(words) for words in ASKED)
        until(lambda: is_closed(one, first) and is_closed(one, second))
        label = ("labels", "set", first, "--part", "prompt", "--label", "misuse")
        done = one.command(*label, "--category", "other")
        assert done.returncode == 0, done.stderr
        status, told = one.admin(
            f"/admin/v1/labels/{second}/answer", body={"label": "benign"}, method="PUT"
        )
        assert (status, told["by"][:10]) == (200, "token:adm_")
        assert one.admin(f"/admin/v1/labels?exchange={second}") == (200, [told])
        file = tmp_path / "rows.jsonl"
        done = one.command("labels", "export", "--output", str(file), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["missing"] == {}
    rows = {it.id: it for it in read_rows(file)}
    assert set(rows) == {f"{first}/prompt/misuse", f"{second}/answer/benign"}
    prompt, answer = rows[f"{first}/prompt/misuse"], rows[f"{second}/answer/benign"]
    assert (prompt.label, prompt.response, prompt.categories) == (1, None, ("other",))
    assert ASKED[0] in prompt.text
    assert ASKED[1] in answer.text
    assert answer.response
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(words in one.log.read_text() for words in ASKED)

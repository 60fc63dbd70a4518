import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detectors.api import Part, Sample
from detectors.data import (
    Licence,
    Row,
    cap_sources,
    dev_rows,
    read_licences,
    read_rows,
    trainable,
    training_rows,
)
from detectors.errors import DataError


def row(source: str = "a", number: int = 0, label: int = 0) -> Row:
    return Row(f"{source}-{number}", f"text {number}", label, source, "MIT")


def write_rows(path: Path, *rows: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(it, ensure_ascii=False) + "\n" for it in rows))
    return path


def plain(source: str, **more: object) -> dict[str, object]:
    return {"id": "1", "text": "t", "label": 0, "source": source, "licence": "MIT"} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "licences.tsv").write_text(
        "source\tlicence\tmay_train_shipped_artefact\n"
        "free\tMIT\tyes\n"
        "closed\tCC-BY-NC-4.0\tno\n"
        "measured\tMIT\tno: development measurements only\n"
        "maybe\tMIT\tyes, after asking\n"
    )
    for source in ("free", "closed", "measured", "maybe", "unheard_of"):
        write_rows(tmp_path / "train_pool" / f"{source}.jsonl", plain(source))
    return tmp_path


def test_only_sources_with_a_plain_yes_train(folder: Path) -> None:
    assert {it.source for it in training_rows(folder)} == {"free"}


def test_the_row_itself_says_its_source_not_the_files_name(folder: Path) -> None:
    write_rows(folder / "train_pool" / "free.jsonl", plain("closed"), plain("free"))

    assert [it.source for it in training_rows(folder)] == ["free"]


def test_a_source_without_a_licence_line_does_not_train() -> None:
    known = {"a": Licence("MIT", trains=True)}

    assert trainable([row("a"), row("b")], known) == [row("a")]


def test_the_label_of_a_row_with_a_response_speaks_of_the_response(tmp_path: Path) -> None:
    [read] = read_rows(write_rows(tmp_path / "x.jsonl", plain("a", response="no", lang="en")))

    assert read.sample == Sample("no", Part.ANSWER)
    assert read.parts == (Part.ANSWER, Part.EXCHANGE)
    assert read.sample_of(Part.EXCHANGE) == Sample("no", Part.EXCHANGE, read.text)
    assert row().sample == Sample("text 0", Part.PROMPT)


def test_line_separators_inside_a_text_do_not_split_the_row(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"

    [read] = read_rows(write_rows(tmp_path / "x.jsonl", plain("a", text=text)))

    assert read.text == text


@pytest.mark.parametrize("bad", ['{"id": 1}', "not json", '{"id":"1","text":"secret","label":"x"}'])
def test_a_malformed_row_is_named_by_file_and_line_without_its_text(
    tmp_path: Path, bad: str
) -> None:
    path = write_rows(tmp_path / "x.jsonl", plain("a"))
    path.write_text(path.read_text() + bad + "\n")

    with pytest.raises(DataError, match=r"x\.jsonl, line 2") as caught:
        read_rows(path)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id":"\xe2"}')
    with pytest.raises(DataError, match=r"x\.jsonl is not UTF-8: .* at byte 7"):
        read_rows(path)


def test_a_label_that_is_neither_0_nor_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label is 2"):
        read_rows(write_rows(tmp_path / "x.jsonl", plain("a", label=2)))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n \n")

    with pytest.raises(DataError, match=r"x\.jsonl has no rows; a right line is"):
        read_rows(path)


@pytest.mark.parametrize("read", [dev_rows, training_rows])
def test_what_is_no_folder_is_explained(tmp_path: Path, read: Callable[[Path], list[Row]]) -> None:
    file = tmp_path / "x.jsonl"
    file.touch()

    with pytest.raises(DataError, match=r"x\.jsonl is a file; name a data folder"):
        read(file)
    with pytest.raises(DataError, match="nowhere is not there; name a data folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="it is a folder; name a file of JSON lines"):
        read_rows(tmp_path)


def test_a_folder_without_data_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data DIR"):
        dev_rows(tmp_path)
    with pytest.raises(DataError, match=r"licences\.tsv cannot be read"):
        training_rows(tmp_path)


def test_a_licence_table_without_the_column_is_explained(tmp_path: Path) -> None:
    (tmp_path / "licences.tsv").write_text("source\tlicence\na\tMIT\n")

    with pytest.raises(DataError, match="may_train_shipped_artefact"):
        read_licences(tmp_path / "licences.tsv")


def test_capping_keeps_the_same_rows_whatever_their_order() -> None:
    rows = [row(source, number) for source in "ab" for number in range(20)]
    kept = cap_sources(rows, 5)

    assert cap_sources(rows[::-1], 5) == kept
    assert [it.source for it in kept] == ["a"] * 5 + ["b"] * 5

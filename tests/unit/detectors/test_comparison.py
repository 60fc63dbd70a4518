"""Several detectors in one report: markdown, JSON and HTML."""

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from zlib import crc32

import pytest

from detectors import html_report
from detectors.api import Category, Part, Sample
from detectors.comparison import Evaluated, all_as_json, as_markdown, comparison, evaluate_all
from detectors.cost import Cost
from detectors.data import Row
from detectors.estimates import Needs, Options
from detectors.tables import UNMEASURED

OPTIONS = Options(needs=Needs(rows=10, above=1), battery_rows=15)


class Hashing:
    """Finds stand-ins for misuse, but for some: a hash of the text decides."""

    version = "1"

    def __init__(self, name: str, parts: frozenset[Part]) -> None:
        self.name = name
        self.parts = parts

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.ANY: self._score(it.text), Category.CYBER: 0.5} for it in samples]

    def _score(self, text: str) -> float:
        return 0.4 * ("badthing" in text) + 0.6 * crc32(text.encode()) / 2**32


def rows_of(answer: str | None) -> list[Row]:
    return [
        Row(f"{source}-{n}", f"{word} secretword {n}", label, source, "MIT", answer, ("cyber",))
        for source, label, word in (("calm |<b>", 0, "bake"), ("loud", 1, "badthing"))
        for n in range(120)
    ]


@pytest.fixture(scope="module")
def evaluated() -> list[Evaluated]:
    detectors = [
        Hashing("first <i>", frozenset({Part.PROMPT})),
        Hashing("second", frozenset({Part.PROMPT, Part.ANSWER})),
    ]
    rows = [*rows_of(None), *rows_of("an answer")]
    return evaluate_all(detectors, rows, lambda _: None, OPTIONS)


def test_each_detector_reports_on_its_own_parts(evaluated: list[Evaluated]) -> None:
    assert [set(it.reports) for it in evaluated] == [
        {Part.PROMPT},
        {Part.PROMPT, Part.ANSWER},
    ]
    assert evaluated[0].reports[Part.PROMPT] == evaluated[1].reports[Part.PROMPT]


def test_markdown_has_them_side_by_side_and_each_by_itself(evaluated: list[Evaluated]) -> None:
    text = "\n".join(as_markdown(evaluated))

    assert "### Detectors on prompts" in text
    assert text.count("\n| second | ") == 3
    assert "# second 1" in text
    assert "| loud | 120 | " in text
    assert "| calm \\|<b> | 120 | " in text
    assert UNMEASURED in text
    assert "secretword" not in text


def test_differences_are_of_the_same_rows_in_every_round(evaluated: list[Evaluated]) -> None:
    [table] = [it for it in comparison(evaluated) if it.title == "Against first <i> on prompts"]

    assert len(table.rows) == 1
    assert table.rows[0][1] == "+0.000 (+0.000 to +0.000)"


def test_one_detector_has_nothing_beside_it(evaluated: list[Evaluated]) -> None:
    assert "side by side" not in "\n".join(as_markdown(evaluated[1:]))


def test_json_holds_every_kind_of_figure(evaluated: list[Evaluated]) -> None:
    first, second = json.loads(json.dumps(all_as_json(evaluated)))["detectors"]

    assert (first["name"], second["version"], first["cost"]) == ("first <i>", "1", None)
    found = second["parts"]["prompt"]
    assert found["category"]["cyber"]["own_auroc"][0] == 0.5
    assert len(found["robustness"]["base64"]["recall_kept"]) == 3
    assert len(found["calibration"]["any"]["ece"]) == 3
    assert found["curves"]["recall"]["loud"][-1] == 1
    assert sum(it["rows"] for it in found["reliability"]) == 240
    assert "secretword" not in json.dumps(all_as_json(evaluated))


def test_costs_are_shown_where_they_were_measured(evaluated: list[Evaluated]) -> None:
    cost = Cost("native", 2, 1, "a machine", 0.5)
    priced = Evaluated("third", "2", evaluated[0].reports, cost)

    text = "\n".join(as_markdown([priced]))

    assert "| third | native | 2.0 | 1.0 | 0.500 | a machine |" in text


class Reader(HTMLParser):
    """Notes what is open, and what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.fetched += [
            value or "" for name, value in attrs
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#")
        ]  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(evaluated: list[Evaluated]) -> str:
    return html_report.render(evaluated)


def test_the_page_is_whole_stands_alone_and_holds_no_row(page: str) -> None:
    reader = Reader()
    reader.feed(page)

    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.fetched == []
    assert not reader.tags & {"script", "link", "img", "iframe", "i", "b"}
    assert "secretword" not in page
    assert "first &lt;i&gt;" in page
    assert page.count("<svg") == page.count("<figure") > 6


def test_what_the_page_says_of_a_detector_is_the_same_every_time(
    evaluated: list[Evaluated], page: str
) -> None:
    again = html_report.render(evaluated[:1])

    section = again[again.index('<section id="d0-prompt">') : again.index("</body>")]
    assert "<svg" in section
    assert section.strip() in page


def test_every_plot_that_has_figures_is_drawn(page: str) -> None:
    for title in ("ROC", "Precision", "Reliability", "Probabilities", "False pos", "Robustness"):
        assert f'aria-label="{title}' in page

"""Several detectors in one report: the page, with its plots."""

from html.parser import HTMLParser

import pytest

from detectors import html_report
from detectors.comparison import Evaluated
from tests.real_parts.evaluated import two_evaluated


@pytest.fixture(scope="module")
def evaluated() -> list[Evaluated]:
    return two_evaluated()


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

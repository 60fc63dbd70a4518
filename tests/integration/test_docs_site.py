"""The site of the documents: `make site`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from mkdocs.config import load_config

from scripts.docs_site import in_site, in_tree, on_config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=["']?(?:https?:)?//"""
)
"""What a browser fetches from elsewhere by itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built as `make site` does: any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def navigation() -> list[str]:
    """Return the pages of the navigation, in order."""
    return list(leaves(on_config(load_config(str(ROOT / "mkdocs.yml"))).nav))


def leaves(nav: Any) -> Iterator[str]:  # noqa: ANN401 - as YAML gives it
    if isinstance(nav, str):
        yield nav
    for inner in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from leaves(inner)


def test_each_document_is_in_the_navigation_once() -> None:
    pages = navigation()
    documents = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}

    assert sorted(documents - set(pages)) == [], "name them in mkdocs.yml, under nav"
    assert sorted({page for page in pages if pages.count(page) > 1}) == []


def test_the_site_has_a_page_for_each_document_and_for_what_they_link_to(site: Path) -> None:
    pages = {page.removesuffix(".md").removesuffix("index") for page in navigation()}
    pages -= {"repository/README"}  # MkDocs makes an index of it

    assert [page for page in sorted(pages) if not (site / page / "index.html").exists()] == []
    assert (site / "openapi.json").exists()
    assert (site / "repository" / "index.html").exists()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}

    assert [str(page) for page, text in texts.items() if LOADED.search(text)] == []
    # The theme would fetch a program for diagrams, if there were any.
    assert [str(page) for page, text in texts.items() if 'class="mermaid"' in text] == []
    styles = "".join(it.read_text(encoding="utf-8") for it in site.rglob("*.css"))
    assert not re.search(r"""(?:@import|url\()\s*["']?(?:https?:)?//""", styles)


def test_links_to_files_beside_the_documents_lead_within_the_site(site: Path) -> None:
    page = (site / "screening" / "index.html").read_text(encoding="utf-8")
    assert 'href="../repository/detectors/models/lexical/card/"' in page


@pytest.mark.parametrize(
    ("in_the_tree", "in_the_site"),
    [
        ("docs/points.md", "points.md"),
        ("docs/tutorials/threshold.md", "tutorials/threshold.md"),
        ("CHANGELOG.md", "repository/CHANGELOG.md"),
    ],
)
def test_a_file_of_the_tree_has_its_place_in_the_site(in_the_tree: str, in_the_site: str) -> None:
    assert str(in_site(PurePosixPath(in_the_tree))) == in_the_site
    assert str(in_tree(PurePosixPath(in_the_site))) == in_the_tree


def what_the_site_reads_otherwise(document: Path) -> Iterator[str]:
    """Yield lines that are a list, or a part of one, to readers of the tree alone."""
    before, fenced = "", False
    for line in document.read_text(encoding="utf-8").splitlines():
        is_item = re.match(r"(?:[-*]|\d+\.) ", line)
        may_begin = not before.strip() or re.match(r"[ #<]|[-*] |\d+\. ", before)
        if is_item and not fenced and not may_begin:
            yield f"{document.name}: a blank line is missing before {line[:40]!r}"
        if re.match(r" {1,3}\S", line) and not fenced and not before.strip():
            yield f"{document.name}: four spaces make {line[:40]!r} a part of its item"
        fenced ^= line.lstrip().startswith("```")
        before = line


def test_lists_are_lists_in_the_site_too() -> None:
    found = [it for path in DOCS.rglob("*.md") for it in what_the_site_reads_otherwise(path)]
    assert found == []

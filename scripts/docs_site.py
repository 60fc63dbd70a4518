"""What MkDocs is taught for our documents: a hook, named in mkdocs.yml.

Documents stand where people read them in the tree, and link to files beside docs/, such as cards of
models. Those that are linked to become part of the site, under `repository/`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
OUTSIDE: Final = "repository"
"""The folder of the site for files that are not in docs/."""
BESIDE: Final = (
    "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md",
    "detectors/api.py", "detectors/judge/policy.txt", "watchgate.example.yaml",
)  # fmt: skip
CARDS: Final = "detectors/models/*/card.md"
FOLDERS: Final = ("runbooks",)
"""Folders of docs/ whose pages the navigation lists by name, wherever it names the folder."""
_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of whole folders into the navigation."""
    config.nav = _with_folders(config.nav or [], Path(config.docs_dir))
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the files beside docs/ that documents link to."""
    cards = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(CARDS))
    for name in (*BESIDE, *cards):
        files.append(File.generated(config, f"{OUTSIDE}/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead within the site, as they do within the tree."""
    del config, files
    here = PurePosixPath(page.file.src_uri)
    return _outside_fences(markdown, lambda text: _LINK.sub(lambda it: _within(it, here), text))


def _within(link: re.Match[str], here: PurePosixPath) -> str:
    target, _, anchor = link[2].partition("#")
    if not target or ":" in target:
        return link[0]
    there = in_site(_joined(in_tree(here).parent, target))
    moved = os.path.relpath(there, here.parent)
    return f"{link[1]}{moved}{'#' if anchor else ''}{anchor}{link[3]}"


def in_tree(page: PurePosixPath) -> PurePosixPath:
    """Return where in the tree a file of the site stands."""
    if page.parts[0] == OUTSIDE:
        return page.relative_to(OUTSIDE)
    return "docs" / page


def in_site(path: PurePosixPath) -> PurePosixPath:
    """Return where in the site a file of the tree is."""
    return path.relative_to("docs") if path.parts[0] == "docs" else OUTSIDE / path


def _joined(folder: PurePosixPath, target: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(folder / target))


def _outside_fences(markdown: str, change: Any) -> str:  # noqa: ANN401
    pieces: list[str] = []
    end = 0
    for fence in _FENCE.finditer(markdown):
        pieces += [change(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, change(markdown[end:])])


def _with_folders(nav: Sequence[Any], docs: Path) -> list[Any]:
    found: list[Any] = []
    for item in nav:
        [(title, inner)] = item.items() if isinstance(item, dict) else [(None, item)]
        if isinstance(inner, list):
            found.append({title: _with_folders(inner, docs)})
        elif isinstance(inner, str) and inner.rstrip("/") in FOLDERS:
            found += [{title: pages}] if (pages := _pages(docs, inner.rstrip("/"))) else []
        else:
            found.append(item)
    return found


def _pages(docs: Path, folder: str) -> list[str]:
    return [str(path.relative_to(docs)) for path in sorted((docs / folder).glob("*.md"))]

"""Hook of mkdocs.yml: pages that are not files in docs/, and links that leave docs/.

The Markdown in docs/ is written for readers on a code host. `make docs` adds the README as first
page, CONTRIBUTING and CHANGELOG, and one API page for each room of `c2vl`.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
OUTSIDE |= {"CHANGELOG.md": "changelog.md"}
FIRST = ["your-own-classes", "running-on-real-data", "datasets", "skeletons", "videos", "engines"]
FIRST += ["using-the-encoder", "extend"]
FIRST += ["objective", "encoders", "training", "evaluation", "zero-shot", "report"]
FIRST += ["results"]
FIRST += ["architecture", "store", "tables", "decisions", "glossary"]
LAST = ["contributing", "changelog"]
ROOMS = sorted(path.parent.name for path in (ROOT / "c2vl").glob("*/__init__.py"))
TARGET = r"(?!\w+:|#)([^)#\s]*)(#[^)\s]*)?"  # a path without scheme, and an anchor
LINK = re.compile(rf"\[([^]\[]*(?:\[[^]]*\])?[^]\[]*)\]\({TARGET}\)")
REFERENCE = re.compile(rf"^(\[[^]]+\]: ){TARGET}$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files in docs/."""
    for name, page in OUTSIDE.items():
        if (ROOT / name).is_file():
            text = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    for room in ROOMS:
        text = f"# c2vl.{room}\n\n::: c2vl.{room}\n"
        files.append(File.generated(config, f"api/{room}.md", content=text))
    names = {file.src_uri.removesuffix(".md") for file in files.documentation_pages()}
    here = {name for name in names if "/" not in name} - {"index", *LAST}
    order = [name for name in FIRST if name in here] + sorted(here - set(FIRST))
    order += [name for name in LAST if name in names]
    api = [{f"c2vl.{room}": f"api/{room}.md"} for room in ROOMS]
    config.nav = [{"C²VL": "index.md"}, *[f"{name}.md" for name in order], {"API": api}]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links into the repository to pages of the site; what has no page keeps its text."""
    source = page.file.src_uri
    written = next((name for name, target in OUTSIDE.items() if target == source), f"docs/{source}")

    def inline(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(written), link[2]))
        if inside := page_of(target, link[3] or ""):
            return f"[{link[1]}]({posixpath.relpath(inside, posixpath.dirname(source) or '.')})"
        return link[1] if (ROOT / target).exists() else link[0]  # else broken: mkdocs says so

    def reference(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(written), link[2]))
        inside = page_of(target, link[3] or "") or link[2]
        return f"{link[1]}{posixpath.relpath(inside, posixpath.dirname(source) or '.')}"

    return REFERENCE.sub(reference, LINK.sub(inline, markdown))


def page_of(target: str, anchor: str = "") -> str | None:
    """Page or picture of the site that shows the repository's file or folder `target`, if any."""
    parts = target.split("/")
    if target in OUTSIDE:
        return OUTSIDE[target] + anchor
    if parts[0] == "docs":
        return target.removeprefix("docs/") + anchor
    if parts[0] == "c2vl" and len(parts) > 1 and parts[1] in ROOMS:
        return f"api/{parts[1]}.md"
    return None

"""What MkDocs asks when it builds the site: documents that lie outside docs/ are pages of it, too."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCUMENTS = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "measurements.md",
    "examples/paper/README.md": "paper.md",
}
"""Documents outside docs/, and their addresses on the site."""

LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents outside docs/."""
    for document, page in DOCUMENTS.items():
        text = (Path(config.config_file_path).parent / document).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links, which are right in the checkout, at pages; one to a file that is no page is its text."""
    sources = {address: PurePosixPath(document) for document, address in DOCUMENTS.items()}
    folder = sources.get(page.file.src_uri, PurePosixPath("docs", page.file.src_uri)).parent

    def on_site(link: re.Match[str]) -> str:
        text, target, anchor = link[1], normpath(str(folder / link[2])), link[3] or ""
        if target in DOCUMENTS or target.startswith("docs/"):
            return f"[{text}]({DOCUMENTS.get(target) or target.removeprefix('docs/')}{anchor})"
        return text

    return LINK.sub(on_site, markdown)

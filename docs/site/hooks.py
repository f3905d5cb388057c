"""What the site has beyond docs/: pages of the repository's root, and the files that pages link to.

GitHub resolves a link such as ``../deploy/nginx/orbitserve.conf`` in the repository. The site has
only itself, so what is linked to is copied beside its pages, and the link follows.
"""

import re
import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages of the root, and what they are called on the site."""

_KEY = re.compile(r"\b(\w+)=\1\+\w+\+\w+\.id\b")
"""Where the theme's search adds the letter and the number of a next state to a state's key."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[#)])")
"""A link without its anchor, and not to elsewhere."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, and every file of the repository that a page links to."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=_LINK.sub(_from_docs, text)))
    linked = {
        link.removeprefix("../")
        for page in files.documentation_pages()
        for link in _LINK.findall(page.content_string)
        if link.startswith("../")
    }
    for place in sorted(linked - PAGES.keys()):
        if (ROOT / place).is_file():  # else the link stays broken, and the strict build says so
            copy = File.generated(config, _copy(place), abs_src_path=str(ROOT / place))
            files.append(copy)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to where the site has what they name."""
    return _LINK.sub(_on_site, markdown)


def _from_docs(link: re.Match[str]) -> str:
    """Write a link of a page in the root as a page in docs/ would."""
    place = link[1]
    return place.removeprefix("docs/") if place.startswith("docs/") else f"../{place}"


def _on_site(link: re.Match[str]) -> str:
    place = link[1].removeprefix("../")
    return place if place == link[1] else PAGES.get(place) or _copy(place)


def _copy(place: str) -> str:
    return f"repository/{place}"


def on_post_build(config: MkDocsConfig) -> None:
    """Leave out what no page loads: maps of the scripts, and the search's other languages.

    And mend the search. Lunr 2.3.9 takes two states of its automaton of words for one where their
    keys are equal, in which the letter and the number of each next state stand side by side: of
    "1" and 23, and "12" and 3. Of some pages it then finds words that no page has, and fails.
    """
    assets = Path(config.site_dir, "assets")
    for path in assets.rglob("*.map"):
        path.unlink()
    shutil.rmtree(assets / "javascripts" / "lunr")
    (worker,) = assets.glob("javascripts/workers/search.*.js")
    mended, places = _KEY.subn(r'\g<0>+","', worker.read_text("utf-8"))
    if places != 1:
        raise PluginError(f"The search is another than the one that is mended: {worker.name}.")
    worker.write_text(mended, "utf-8")

"""The documentation is a site without a broken link that loads nothing from elsewhere."""

import os
import re
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt

from tests.axe import violations

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
AT_ROOT = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=source,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built") / "site"
    built = build(ROOT, target)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return target


class _Page(HTMLParser):
    """What a page loads, and how often its text has each element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.elements: Counter[str] = Counter()
        self._text = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(attributes.get("src") or "")
        if tag == "link" and attributes.get("rel") != "canonical":
            self.loaded.append(attributes.get("href") or "")
        self._text |= tag == "article"
        if self._text:
            self.elements[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        self._text &= tag != "article"


def pages(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.glob("*.html")):
        if path.name != "404.html":
            source = AT_ROOT.get(path.stem, f"docs/{path.stem}.md")
            yield path, (ROOT / source).read_text("utf-8")


def test_it_is_built_without_a_warning_and_every_page_is_found(site: Path) -> None:
    names = {path.stem for path, _ in pages(site)}
    assert names == {*AT_ROOT, *(path.stem for path in (ROOT / "docs").glob("*.md"))}


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        for link in _Page(path.read_text("utf-8")).loaded:
            assert not urlsplit(link).netloc, f"{path.name} loads {link}"
    for path in site.rglob("*.css"):
        assert not re.findall(r"@import|url\((?!\"?(?:data:|#))", path.read_text("utf-8"))


def test_github_reads_the_same(site: Path) -> None:
    """A list or a table that only one of the two readers sees is a paragraph to the other."""
    github = MarkdownIt("commonmark").enable("table")
    for path, source in pages(site):
        here = _Page(path.read_text("utf-8")).elements
        there = _Page(f"<article>{github.render(source)}</article>").elements
        for tag in ("h1", "h2", "h3", "ul", "ol", "li", "table", "tr", "blockquote", "img"):
            assert here[tag] == there[tag], f"{path.name}: <{tag}>"


def test_it_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*")) < 6e6


def test_broken_links_are_refused(tmp_path: Path) -> None:
    """Of one page alone, so that what is said of the others' absence stands beside."""
    (tmp_path / "docs" / "site").mkdir(parents=True)
    for name in ("mkdocs.yml", "docs/site/hooks.py", *AT_ROOT.values()):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    broken = ("gone.md", "install.md#gone", "../deploy/gone.yaml")
    links = " ".join(f"[gone]({each})" for each in broken)
    page = (ROOT / "docs" / "install.md").read_text()
    (tmp_path / "docs" / "install.md").write_text(f"{page}\n{links}\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    said = [line for line in built.stderr.splitlines() if "Doc file 'install.md'" in line]
    for complaint in ("'gone.md'", "'install.md#gone'", "deploy/gone.yaml"):
        assert any(complaint in line for line in said), built.stderr


@pytest.mark.browser
class TestBrowser:
    """Chromium, from the folder and without any network, as somebody reads it in a closed one."""

    @pytest.fixture
    def page(self, site: Path, chromium: Any) -> Iterator[Any]:
        page = chromium.new_page(viewport={"width": 390, "height": 844})
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.extend(_from_elsewhere(asked.url)))
        page.goto(f"file://{site}/index.html")
        yield page
        page.close()
        assert wrong == []

    def test_the_search_finds(self, page: Any) -> None:
        page.locator(".md-header__button[for=__search]").click()
        page.locator(".md-search__input").press_sequentially("Clopper")
        page.locator(".md-search-result__item a").first.wait_for()
        assert "statistics.html" in page.locator(".md-search-result__item a").first.get_attribute(
            "href"
        )

    def test_the_search_answers_whatever_a_word_begins_with(self, page: Any) -> None:
        """Of these pages lunr by itself finds words with "c" and "h" that none of them has."""
        page.locator(".md-header__button[for=__search]").click()
        box, said = page.locator(".md-search__input"), page.locator(".md-search-result__meta")
        for letter in string.ascii_lowercase + string.digits:
            box.press_sequentially(letter)
            said.filter(has_text=re.compile("matching documents?")).wait_for()
            box.press("Backspace")
            said.filter(has_text="Type to start searching").wait_for()

    def test_no_page_is_wider_than_a_phone(self, page: Any, site: Path) -> None:
        for path in (site / "http.html", site / "import.html", site / "concepts.html"):
            page.goto(f"file://{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name

    def test_the_keyboard_reaches_all_that_scrolls(self, page: Any, site: Path) -> None:
        """Wide tables and wide code, on every page; axe knows what else could take the focus."""
        for path, _ in pages(site):
            page.goto(f"file://{path}")
            page.wait_for_function(MARKED)
            assert violations(page, "scrollable-region-focusable") == [], path.name

    def test_axe_finds_nothing_serious(self, page: Any, site: Path) -> None:
        for name in ("index.html", "audit.html", "concepts.html"):
            page.goto(f"file://{site / name}")
            page.wait_for_function(MARKED)
            found = violations(page)
            assert [each for each in found if each[1] in ("serious", "critical")] == [], name


MARKED = """
  () => [...document.querySelectorAll(".md-typeset__scrollwrap")]
    .every((each) => each.scrollWidth <= each.clientWidth || each.ariaLabel?.startsWith("Table: "))
"""


def _from_elsewhere(url: str) -> list[str]:
    return [] if url.startswith(("file:", "data:", "about:")) else [url]

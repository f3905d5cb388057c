"""The console in Chromium, beside a service of shipped models."""

import base64
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.axe import violations
from tests.service.processes import Server, serving

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "service" / "api" / "console" / "static"
MODELS = ("rotmnist-c4", "rotmnist-cnn")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

FAINT = """
  () => {
    const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
      const [r, g, b] = numbers(color).map((each) => {
        const part = each / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      const color = getComputedStyle(element).backgroundColor;
      return numbers(color)[3] === 0 ? behind(element.parentElement) : color;
    };
    const says = (element) =>
      [...element.childNodes].some((each) => each.nodeType === Node.TEXT_NODE && each.data.trim());
    return [...document.querySelectorAll("body *:not(option, noscript, svg *)")]
      .filter((each) => says(each) && each.checkVisibility() && !each.disabled)
      .map((each) => {
        const colors = [getComputedStyle(each).color, behind(each)];
        const [low, high] = colors.map(light).sort((a, b) => a - b);
        return [(high + 0.05) / (low + 0.05), each.outerHTML.slice(0, 80)];
      })
      .filter(([ratio]) => !(ratio >= 4.5));
  }
"""
"""What has too little contrast for WCAG AA, by its formula: axe does not compute it everywhere."""

OUT_OF_REACH = """
  () => [...document.querySelectorAll("body, body *")]
    .filter((each) => each.checkVisibility() && !each.matches("input, select"))
    .filter((each) => {
      const { overflowX: x, overflowY: y } = getComputedStyle(each);
      return [x, y].some((how) => ["auto", "scroll"].includes(how)) && !each.matches("dialog");
    })
    .filter((each) => each.tabIndex !== 0 || each.role !== "region" || !each.ariaLabel)
    .map((each) => each.outerHTML.slice(0, 80))
"""
"""What may scroll, and lacks the focus, a role or a name: axe asks only where it does scroll."""


@dataclass
class Console:
    """The page as somebody uses it."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def wait_for(self, selector: str, text: str) -> None:
        self.page.wait_for_function(
            "([s, t]) => document.querySelector(s)?.innerText.includes(t)", arg=[selector, text]
        )

    def press(self, button: str) -> None:
        """Press a button, and wait until what it began is done."""
        self.page.locator(f"#{button}").click()
        self.rest(button)

    def rest(self, button: str) -> None:
        self.page.wait_for_function(
            "id => !document.getElementById(id).hasAttribute('aria-disabled')", arg=button
        )

    def drop(self, content: bytes, name: str, kind: str, place: str = "#turn") -> None:
        """Drop a file on a part of the page, as from another window."""
        self.page.evaluate(
            """([text, name, type, place]) => {
              const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([bytes], name, { type }));
              const how = { dataTransfer, bubbles: true, cancelable: true };
              document.querySelector(place).dispatchEvent(new DragEvent("drop", how));
            }""",
            [base64.b64encode(content).decode(), name, kind, place],
        )


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one equivariant network and a plain one."""
    folder = tmp_path_factory.mktemp("shipped")
    for name in MODELS:
        shutil.copytree(ROOT / "model_repository" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def server(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    ledger = tmp_path_factory.mktemp("ledger")
    with serving(shipped, ledger=ledger, model_control=True, poll_seconds=0) as server:
        yield server


Open = Callable[..., Console]


@pytest.fixture
def open_console(chromium: Any) -> Iterator[Open]:
    """Open the page; whatever it does, it asks nobody but the service, and nothing is amiss."""
    opened: list[tuple[Console, Any]] = []

    def show(
        url: str, *, ready: bool = True, before: Callable[[Any], Any] = id, **options: Any
    ) -> Console:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        console = Console(context.new_page(), url)
        page = console.page
        page.on("pageerror", lambda error: console.complaints.append(str(error)))
        page.on("console", lambda said: console.complaints.append(said.text))
        page.on("request", lambda request: console.asked.append(request.url))
        opened.append((console, context))
        before(page)
        page.goto(f"{url}/")
        if ready:
            for place in ("#chosen", "#other"):
                page.wait_for_selector(f"{place} .label:not(:empty)")
        return console

    yield show
    for console, context in opened:
        context.close()
        # Chromium logs each answer that is a refusal.
        amiss = [said for said in console.complaints if "Failed to load resource" not in said]
        assert not amiss
        outside = [url for url in console.asked if not url.startswith((console.url, "blob:"))]
        assert not outside


@pytest.fixture
def console(open_console: Open, server: Server) -> Console:
    return open_console(server.url)


def check_with_axe(console: Console) -> None:
    """Check the page as it is: in light and dark, on a phone's screen and a desk's."""
    for scheme in ("light", "dark"):
        console.page.emulate_media(color_scheme=scheme)
        for size in (PHONE["viewport"], {"width": 1280, "height": 900}):
            console.page.set_viewport_size(size)
            assert violations(console.page) == []
            assert not console.page.evaluate(FAINT)
            assert console.page.evaluate(OUT_OF_REACH) == []

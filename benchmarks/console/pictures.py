"""Take the console's pictures for the README: `python -m benchmarks.console.pictures URL`.

URL is that of a service of the shipped models, `make serve`. Needs Chromium.
"""

import argparse
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER: Final = Path("docs/console")
_STEP: Final = 5
_MILLISECONDS: Final = 70
_DESK: Final = {"width": 1180, "height": 880}
_SMALL: Final = 720  # pixels that the animation is wide
_ANSWERED: Final = """
  degrees => ["chosen", "other"].every((id) => {
    const place = document.getElementById(id);
    return place.querySelector(".kept").textContent.includes(`${degrees} angle`);
  })
"""
"""Whether both networks have answered at so many angles."""


def main() -> None:
    """Write two pictures and an animation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--no-proxy-server", "--disable-gpu"],
        )
        frames = list(turn_around(_open(browser, options.url)))
        frames[0].save(
            options.folder / "turning.webp",
            save_all=True,
            append_images=[*frames[1:], *[frames[-1]] * 20],
            duration=_MILLISECONDS,
            loop=0,
            quality=60,
            method=6,
        )
        page = _open(browser, options.url)
        _press(page, "around")
        page.locator("#angle").fill("-70")
        page.wait_for_function(_ANSWERED, arg=72)
        _save(page, options.folder / "light.png")
        page = _open(browser, options.url, color_scheme="dark")
        for button in ("around", "certify"):
            _press(page, button)
        _save(page, options.folder / "dark.png")
        browser.close()


def turn_around(page: Page) -> Iterator[Image.Image]:
    """Turn the picture once around, and yield what is seen at each angle."""
    stage, answers = (page.locator(each).bounding_box() for each in ("#stage", ".answers"))
    if stage is None or answers is None:
        raise RuntimeError("The page does not show its picture.")
    right, height = answers["x"] + answers["width"], max(stage["height"], answers["height"])
    clip: Any = {"x": stage["x"], "y": answers["y"], "width": right - stage["x"], "height": height}
    for step in range(360 // _STEP):
        page.locator("#angle").fill(str((step * _STEP + 180) % 360 - 180))
        page.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
        page.wait_for_function(_ANSWERED, arg=step + 1)
        shown = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
        height = round(shown.height * _SMALL / shown.width)
        yield shown.resize((_SMALL, height), Image.Resampling.LANCZOS)


def _open(browser: Any, url: str, **options: Any) -> Page:
    page: Page = browser.new_context(viewport=_DESK, **options).new_page()
    page.goto(f"{url}/")
    page.wait_for_function(_ANSWERED, arg=1)
    return page


def _press(page: Page, button: str) -> None:
    page.locator(f"#{button}").click()
    page.wait_for_function(
        "id => !document.getElementById(id).hasAttribute('aria-disabled')", arg=button
    )


def _save(page: Page, file: Path) -> None:
    page.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256).save(file, optimize=True)


if __name__ == "__main__":
    main()

"""The site in a browser: built without a warning, and no page is wider than its column or its screen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt-get install chromium"),
]

#: Show what a page hides at first: data that a reader opens, and tabs.
OPEN = """
() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  for (const each of document.querySelectorAll(".sd-tab-content")) each.style.display = "block";
}
"""
#: Boxes that scroll inside of themselves although a reader at a desk should see them whole.
TOO_WIDE = """
() => [...document.querySelectorAll("article pre, article .table-wrapper")]
  .filter(box => box.offsetParent !== null && box.scrollWidth > box.clientWidth)
  .map(box => `${box.scrollWidth} > ${box.clientWidth}: ${box.innerText.slice(0, 80)}`)
"""
#: How far the page itself can be scrolled sideways, and the elements that cause it.
SIDEWAYS = """
() => {
  const screen = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= screen) return [];
  return [...document.querySelectorAll("article *")]
    .filter(each => each.getBoundingClientRect().right > screen + 1)
    .map(each => `${each.tagName} ${each.textContent.slice(0, 60)}`)
    .slice(0, 3);
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `.ci/run` does, where a warning is an error."""
    pytest.importorskip("furo", reason="needs the extra docs")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra docs")
    with sync_api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, and containers rarely have another user.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("width", "script"), [(1440, TOO_WIDE), (1440, SIDEWAYS), (390, SIDEWAYS)], ids=["columns", "desktop", "phone"]
)
def test_no_page_is_too_wide(site: Path, browser: Any, width: int, script: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    found = {}
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        page.evaluate(OPEN)
        if wide := page.evaluate(script):
            found[path.relative_to(site).as_posix()] = wide
    page.close()
    assert found == {}


def test_the_drawings_are_whole(site: Path, browser: Any) -> None:
    """No text of a drawing leaves the box of the drawing."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    for path in sorted((ROOT / "docs" / "drawings").glob("*.svg")):
        page.goto(path.as_uri())
        outside = page.evaluate(
            """() => {
              const whole = document.documentElement.viewBox.baseVal;
              return [...document.querySelectorAll("text")]
                .filter(each => each.getBBox().x < 0 || each.getBBox().x + each.getBBox().width > whole.width
                             || each.getBBox().y + each.getBBox().height > whole.height)
                .map(each => each.textContent);
            }"""
        )
        assert outside == [], path.name
    page.close()

"""A headless Chromium for tests of the pages. Without Playwright or a Chromium they are skipped, and say so.

``ORVIDEO_BROWSER=all`` makes that a failure; ``ORVIDEO_CHROMIUM`` names another browser.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.plugins.deployment import UiDeployment

CHROMIUM: Final = os.environ.get("ORVIDEO_CHROMIUM", "/usr/bin/chromium")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str | None:
    """Say what is missing for a browser test, None for nothing."""
    try:
        import playwright.sync_api  # noqa: F401, PLC0415 - not part of every environment
    except ImportError:
        return "Playwright for Python is not installed (pip install playwright)"
    return None if Path(CHROMIUM).exists() else f"there is no Chromium at {CHROMIUM} (ORVIDEO_CHROMIUM names another)"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser without a window, with a fresh profile; or the reason why there is none."""
    problem = missing()
    if problem and os.environ.get("ORVIDEO_BROWSER") == "all":
        pytest.fail(f"ORVIDEO_BROWSER=all, but {problem}")
    if problem:
        pytest.skip(problem)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not part of every environment

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One person's tab, with cookies and storage of its own.

    Attributes:
        page: the tab.
        context: the person's cookies and storage.
        errors: errors on the console, and exceptions that nobody caught.
        requests: addresses asked for, without their origin.
    """

    page: Page
    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collect what the tab says and asks for."""
        self.page.on("console", lambda entry: self.errors.append(entry.text) if entry.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url.split("/", 3)[3]))

    def asked(self, part: str) -> list[str]:
        """Return the addresses that hold this."""
        return [path for path in self.requests if part in path]


if TYPE_CHECKING:
    #: Opens a tab for the time of a block.
    Visit = Callable[..., AbstractContextManager[Visitor]]


@pytest.fixture
def visit(chromium: Browser) -> Visit:
    """Open a tab: ``with visit(theme="dark", user="admin", deployment=…) as visitor``."""

    @contextmanager
    def open_browser(
        *,
        theme: str = "light",
        user: str | None = None,
        deployment: UiDeployment | None = None,
        viewport: tuple[int, int] = (1280, 900),
    ) -> Iterator[Visitor]:
        context = chromium.new_context(viewport={"width": viewport[0], "height": viewport[1]})
        try:
            context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
            if deployment and user:
                context.add_cookies([{"name": "_token", "value": deployment.login(user), "url": deployment.url}])
            visitor = Visitor(context.new_page(), context)
            visitor.watch()
            yield visitor
        finally:
            context.close()

    return open_browser

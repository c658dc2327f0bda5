"""The pages' files, read as text: nothing from elsewhere, nothing inline, no markup made of data, no loose ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import airflow_provider_orvideo

STATIC: Final = Path(airflow_provider_orvideo.__file__).parent / "plugins" / "static"
MODULES: Final = sorted(STATIC.glob("*.js"))
PAGES: Final = sorted(STATIC.glob("*.html"))
#: What turns text into markup or code.
MARKUP: Final = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
IMPORT: Final = re.compile(r'import\s+(?:\{([^}]*)\}\s+from\s+)?"([^"]+)"', re.DOTALL)
#: Names that are no address to fetch: SVG's namespace, and a link for people.
NAMED: Final = {"http://www.w3.org/2000/svg", "https://openrouter.ai/activity"}


def names(listed: str) -> list[str]:
    """Return the names of an import list."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def test_there_are_pages_and_modules() -> None:
    assert [page.name for page in PAGES] == ["gallery.html", "video.html"]
    assert MODULES


@pytest.mark.parametrize("path", [*MODULES, *PAGES], ids=lambda path: path.name)
def test_no_file_makes_markup_of_text(path: Path) -> None:
    assert not MARKUP.findall(path.read_text())


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    assert set(re.findall(r"https?://[^\s\"'`)]+", path.read_text())) <= NAMED


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_hold_no_script_and_no_style_of_their_own(path: Path) -> None:
    text = path.read_text()
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
    for name in re.findall(r'(?:src|href)="\.\./static/([^"]+)"', text):
        assert (STATIC / name).is_file()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_what_there_is_and_uses_it(path: Path) -> None:
    text = path.read_text()
    body = IMPORT.sub("", text)
    for listed, source in IMPORT.findall(text):
        exported = (STATIC / source).read_text()
        for name in names(listed):
            assert re.search(rf"export (?:async )?(?:function|const|class) {name}\b", exported), name
            assert re.search(rf"\b{name}\b", body), f"{name} is imported and not used"


def test_every_export_is_used() -> None:
    imported = {
        (source, name)
        for path in MODULES
        for listed, source in IMPORT.findall(path.read_text())
        for name in names(listed)
    }
    exported = {
        (f"./{path.name}", name)
        for path in MODULES
        for name in re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", path.read_text(), re.MULTILINE)
    }
    assert exported == imported

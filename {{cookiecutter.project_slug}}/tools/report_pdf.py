"""Print a page by a browser that is installed: none is downloaded."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from {{ cookiecutter.project_slug }}.utils import UserError, write_atomically

BROWSERS = (
    *("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_FILES = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
MACOS_APPS = ("Google Chrome", "Chromium", "Microsoft Edge")


def find_browser() -> str:
    """Return an installed browser that prints pages from the command line."""
    folders = [Path(os.environ[name]) for name in WINDOWS_FOLDERS if name in os.environ]
    places = [folder / file for folder in folders for file in WINDOWS_FILES]
    places += [Path(f"/Applications/{app}.app/Contents/MacOS/{app}") for app in MACOS_APPS]
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    found += [str(path) for path in places if path.is_file()]
    if not found:
        raise UserError("no Chrome, Chromium or Edge for --pdf; print the page from your browser")
    return found[0]


def print_command(browser: str, page: Path, pdf: Path, profile: str, is_root: bool) -> list[str]:
    """Return the command that prints a page; a profile of its own lets no open window answer."""
    options = ["--headless", "--no-pdf-header-footer", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += ["--no-sandbox"] if is_root else []
    files = [f"--user-data-dir={profile}", f"--print-to-pdf={pdf.resolve()}"]
    return [browser, *options, *files, page.resolve().as_uri()]


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Print a page to a PDF."""
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile, write_atomically(pdf) as file:
        ordered = print_command(browser, page, file, profile, is_root)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(ordered, capture_output=True, check=False, timeout=120)
        if not file.is_file():
            raise UserError(f"{browser} wrote no PDF; open {page} in your browser and print it")

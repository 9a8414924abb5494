"""Debian's Chromium, for the tests of pages."""

import contextlib

from playwright.sync_api import expect, sync_playwright

PATIENCE = 60
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
]

expect.set_options(timeout=1000 * PATIENCE)


@contextlib.contextmanager
def browser_page():
    """An empty page. Its dialogs are accepted; at the end no error of its scripts must be left."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS, timeout=1000 * PATIENCE
        )
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        yield page
        browser.close()
    assert problems == [], problems

"""A served workspace and a real Chromium that is let in, and notes whatever leaves the server or lands in the console."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tunix_rt import access, errors, values
from tunix_rt.api import serving
from tunix_rt.settings import Settings

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, or the one that Playwright installed."""
    with sync_playwright() as playwright:
        path = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Served:
    """`tunix-rt serve` in a process of its own; it can be stopped and started again at the same port."""

    def __init__(self, settings: Settings, *, worker: bool = False, options: tuple[str, ...] = ()) -> None:
        self.settings, self._options = settings, (*options, *(() if worker else ("--no-worker",)))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tunix_rt.cli", "serve", "--port", str(self.port), "--home", str(self.settings.home)]
        self.settings.home.mkdir(parents=True, exist_ok=True)
        log = (self.settings.home / "serve.log").open("ab")
        self._process = subprocess.Popen([*command, *self._options], stderr=log)
        log.close()
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(errors.Mistake, httpx.TransportError):
                told = map(values.read_json, (self.settings.home / serving.FOLDER).glob("*.json"))
                for found in (one for one in told if one["pid"] == self._process.pid):  # others may serve this workspace too
                    self.base = found["url"]
                    httpx.get(f"{self.base}/healthz")
                    self.port = int(self.base.rpartition(":")[2])
                    return
            time.sleep(0.05)
        raise AssertionError((self.settings.home / "serve.log").read_text())

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def way_in(self) -> str:
        """What `tunix-rt open` would open."""
        headers = {"authorization": f"Bearer {access.read_owner_token(self.settings)}"}
        return str(self.base + httpx.post(f"{self.base}/api/login-codes", headers=headers).json()["path"])


class Watched:
    """A context of the browser, let in. `troubles` collects what must not happen; `expected` is what a test causes."""

    def __init__(self, browser: Browser, served: Served) -> None:
        self.base = served.base
        self.troubles: list[str] = []
        self.expected: set[str] = set()
        self.context: BrowserContext = browser.new_context(viewport={"width": 1440, "height": 900})
        self.context.on("request", lambda request: self._left(request.url))
        self.context.on("console", lambda message: self._said(message.type, message.text))
        self.context.on("weberror", lambda error: self.troubles.append(f"exception: {error.error}"))
        self.context.on("dialog", lambda dialog: self._dialog(dialog))
        self.page = self.context.new_page()
        self.page.goto(served.way_in())

    def _left(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:", "about:")):
            self.troubles.append(f"left the server: {url}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(known in text for known in self.expected):
            self.troubles.append(f"console {kind}: {text}")

    def _dialog(self, dialog: object) -> None:
        self.troubles.append(f"dialog: {dialog}")
        dialog.dismiss()  # type: ignore[attr-defined]

    def goto(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

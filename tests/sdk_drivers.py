"""Real SDKs sending to a door: Segment's for Python, for Node, and analytics.js in a Chromium.

Must live here: how each is started and what it will have sent. Must not: a look at what arrived.
Each driver blocks until its SDK says that all is delivered, and returns what must be in the log:
[(the customer's key, [event names in order]), ...]. `missing_*` says why a driver cannot run here.
"""

import contextlib
import fcntl
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright
from segment.analytics.client import Client

from tests.patience import SECONDS

HERE = Path(__file__).parent / "sdk"
LIBRARY = HERE / "node_modules/@segment/analytics-next/dist/umd/standalone.js"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BATCH = 10  # as shop.html says

Sent = list[tuple[str, list[str]]]


@functools.cache
def missing_node() -> str:
    """Why the SDKs of npm cannot be run, "" when they can; installs them at first."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        installed, wanted = HERE / "node_modules/.package-lock.json", HERE / "package-lock.json"
        if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
            return ""
        done = subprocess.run(["npm", "ci"], cwd=HERE, capture_output=True, text=True, check=False)
    return f"npm ci failed: {done.stderr.strip()[-200:]}" if done.returncode else ""


@functools.cache
def chromium() -> str | None:
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def missing_browser() -> str:
    """Why no page can be opened, "" when one can."""
    return missing_node() or ("" if chromium() else "no Chromium is installed")


def drive_python(url: str, key: str, n: int, *, gzip: bool = False) -> Sent:
    """n track calls of two customers, and one of every other call of each."""
    failed: list[str] = []
    client = Client(
        key,
        host=url,
        gzip=gzip,
        max_queue_size=n + 100,
        on_error=lambda error, _: failed.append(str(error)),
    )
    sent: dict[str, list[str]] = {}
    for i in range(2):
        visitor, user = f"python-visitor-{i}", f"python-user-{i}"
        client.page(anonymous_id=visitor, name="Home")
        client.identify(user, {"name": "顾客"}, anonymous_id=visitor)
        client.group(user, "vip")
        client.screen(user, name="Cart")
        client.alias(visitor, user)
        sent[f"a:{visitor}"] = ["Page Viewed"]
        sent[f"u:{user}"] = ["Identified", "Group Identified", "Screen Viewed", "Aliased"]
    for i in range(n):
        user, name = f"python-user-{i % 2}", f"Python Event {i}"
        client.track(user, name, {"price": 9.9, "product_id": f"p{i}"})
        sent[f"u:{user}"].append(name)
    client.flush()
    client.join()
    if failed:
        raise AssertionError(f"the SDK gave up: {failed[0]}")
    return list(sent.items())


def drive_node(url: str, key: str, n: int) -> Sent:
    """n track calls of two customers, and one of every other call of each."""
    done = subprocess.run(
        ["node", "drive_node.js", url, key, str(n)],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the SDK gave up: {done.stderr}")
    return [(customer, names) for customer, names in json.loads(done.stdout)]


def drive_browser(url: str, key: str, n: int, arrived: Callable[[int], None]) -> Sent:
    """n track calls in two visits: one event a request, then in batches and leaving the page.

    The first visitor becomes a user half way. Between his calls the page waits for the answer:
    analytics.js has up to six requests under way and promises no order among them. `arrived` returns
    once so many calls are there: nobody tells a page that was left what became of its last ones.
    """
    single, batched = n - n // 2, n // 2
    with serve_shop() as shop, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=CHROMIUM_ARGS, timeout=SECONDS * 1000
        )
        try:
            sent = _visit_single(browser, shop, url, key, single)
            page, more = _visit_batched(browser, shop, url, key, batched)
            arrived(sum(len(names) for _, names in sent + more))
            page.context.close()
            return sent + more
        finally:
            browser.close()


_CALLS = """async (calls) => {
  for (const [method, ...given] of calls) await window.analytics[method](...given)
  return window.failed
}"""
_BURST = """async (calls) => {
  await Promise.all(calls.map(([method, ...given]) => window.analytics[method](...given)))
  return window.failed
}"""  # until all stand in its buffer


def _visit_single(browser: Browser, shop: str, url: str, key: str, n: int) -> Sent:
    visitor, user = "web-visitor-0", "web-user-0"
    page = _open(browser, shop, url, key, visitor, batching=False)
    names = [f"Web Event {i}" for i in range(n)]
    before, after = names[: n // 2], names[n // 2 :]
    calls = [
        *(["track", name, {"price": 9.9}] for name in before),
        ["identify", user, {"name": "顾客"}],
        ["group", "vip", {"plan": "gold"}],
        ["screen", "Cart"],
        *(["track", name, {"price": 9.9}] for name in after),
        ["alias", user, visitor],
    ]
    _raise_if(page.evaluate(_CALLS, calls))
    page.context.close()
    known = ["Identified", "Group Identified", "Screen Viewed", *after, "Aliased"]
    return [(f"a:{visitor}", ["Page Viewed", *before]), (f"u:{user}", known)]


def _visit_batched(browser: Browser, shop: str, url: str, key: str, n: int) -> tuple[Page, Sent]:
    visitor = "web-visitor-1"
    page = _open(browser, shop, url, key, visitor, batching=True)
    names = [f"Web Batch Event {i}" for i in range(n)]
    for start in range(0, n, BATCH):
        calls = [["track", name, {"price": 9.9}] for name in names[start : start + BATCH]]
        if len(calls) < BATCH:
            _raise_if(page.evaluate(_BURST, calls))
            break
        with page.expect_response(lambda r: r.url == url + "/v1/b" and r.request.method == "POST"):
            _raise_if(page.evaluate(_BURST, calls))
    page.goto("about:blank")  # what is not sent yet goes out as the page is left
    return page, [(f"a:{visitor}", ["Page Viewed", *names])]


def _open(browser: Browser, shop: str, url: str, key: str, visitor: str, *, batching: bool) -> Page:
    """A page on which analytics.js has come and its first call, the page call, is delivered."""
    page = browser.new_context().new_page()
    page.set_default_timeout(SECONDS * 1000)
    asked = {"api": url, "key": key, "visitor": visitor} | ({"batching": "1"} if batching else {})
    path = "/v1/b" if batching else "/v1/p"
    with page.expect_response(
        lambda r: r.url == url + path and r.request.method == "POST"
    ) as first:
        page.goto(f"{shop}/shop.html?{urlencode(asked)}")
    if first.value.status != 200:
        raise AssertionError(f"the page call got {first.value.status}: {first.value.text()}")
    page.wait_for_function("window.analytics.initialized")
    return page


def _raise_if(failed: list[str]) -> None:
    if failed:
        raise AssertionError(f"analytics.js gave up: {failed}")


class _Shop(http.server.SimpleHTTPRequestHandler):
    """The shop's own web server: its page and the library, from another origin than the door."""

    def translate_path(self, path: str) -> str:
        if path.startswith("/analytics.js/"):
            return str(LIBRARY)
        return str(HERE / ("shop.html" if path.startswith("/shop.html") else "no such file"))

    def log_message(self, *_) -> None:
        return


@contextlib.contextmanager
def serve_shop() -> Iterator[str]:
    """The address of a page that is not the door's."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

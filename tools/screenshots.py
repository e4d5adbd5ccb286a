"""Takes the pictures of the audit page in docs/screens: `make screenshots`.

A server over the demo's bundle explains recommendations of real users; Chromium looks at its pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "proto")]

import storage  # noqa: E402 - after the path
from becausal.audit.note import Signer  # noqa: E402
from becausal.client import Client  # noqa: E402
from recommender import load_bundle, read_dataset  # noqa: E402
from server.records import write_key  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

DEMO = ROOT / ".demo"
OUT = ROOT / "docs" / "screens"
GRPC, WEB = "127.0.0.1:50971", "127.0.0.1:50972"
WIDE: ViewportSize = {"width": 1440, "height": 1000}
NARROW: ViewportSize = {"width": 360, "height": 780}
PAPER: ViewportSize = {"width": 794, "height": 1123}
"""A4."""

USERS = 12
FIRST_USER = "186"


@dataclass(frozen=True)
class Picture:
    """One page, seen in one way."""

    name: str
    path: str
    size: ViewportSize = field(default_factory=lambda: WIDE)
    whole: bool = False
    scheme: Literal["light", "dark"] = "light"
    media: Literal["screen", "print"] = "screen"
    press: str = ""
    """A button to press first."""


def main() -> None:
    """Take them all."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed; install Debian's package and try again.")
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        process = serve(Path(folder))
        try:
            record = fill()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                for picture in pictures(record):
                    take(browser, picture)
                browser.close()
        finally:
            process.terminate()
            process.wait()


def pictures(record: str) -> list[Picture]:
    """What is taken."""
    detail, what_if = f"/explanations/{record}", f"/what-if?explanation={record}&off=3"
    cards = "/demo?history=168,50,172,181,1,7,174,195"
    user = f"/users?user={FIRST_USER}"
    return [
        Picture("list", "/explanations"),
        Picture("list-narrow", "/explanations", NARROW),
        Picture("explanation", detail, whole=True),
        Picture("explanation-dark", detail, scheme="dark"),
        Picture("explanation-narrow", detail, NARROW),
        Picture("paper", detail, PAPER, whole=True, media="print"),
        Picture("graph", f"{detail}/graph/0"),
        Picture("replay", detail, press="Replay"),
        Picture("what-if", what_if),
        Picture("cards", cards),
        Picture("user", user),
        Picture("models", "/models", scheme="dark"),
        Picture("log", "/log"),
    ]


def take(browser: Browser, picture: Picture) -> None:
    """Go there and look."""
    page = browser.new_page(viewport=picture.size, color_scheme=picture.scheme, bypass_csp=True)
    page.goto(f"http://{WEB}{picture.path}")
    if picture.media == "print":
        page.add_style_tag(content="body { padding: 18mm; }")  # a page's margins are none of its picture
    if picture.press:
        page.click(f"text={picture.press}")
        page.wait_for_selector(".result.good")
        page.locator(".result.good").scroll_into_view_if_needed()
    page.emulate_media(media=picture.media, color_scheme=picture.scheme)
    page.screenshot(path=OUT / f"{picture.name}.png", full_page=picture.whole)
    print(OUT / f"{picture.name}.png")
    page.close()


def serve(folder: Path) -> subprocess.Popen[bytes]:
    """A server with a page and a signed log, once it answers."""
    url = f"sqlite:///{folder / 'becausal.db'}"
    storage.upgrade(url)
    write_key(folder / "key", Signer.new("example.com/becausal"))
    command = [str(Path(sys.executable).with_name("becausal")), "serve", "--bundle", str(DEMO / "bundle")]
    settings = {
        "BECAUSAL_WEB__ADDRESS": WEB,
        "BECAUSAL_AUDIT__KEY_FILE": str(folder / "key"),
        "BECAUSAL_BUNDLES": str(folder / "bundles"),
        "BECAUSAL_LOGS__LEVEL": "WARNING",
    }
    process = subprocess.Popen([*command, "--database", url, "--address", GRPC], env=os.environ | settings)
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://{WEB}/login").close()
        except OSError:
            time.sleep(0.1)
        else:
            return process
    raise SystemExit("The server did not start.")


def fill() -> str:
    """Explain what is recommended to some users; the id of an explanation with several causes."""
    bundle = load_bundle(DEMO / "bundle")
    histories = list(read_dataset(DEMO / "ml-100k", bundle.data_settings).histories().items())[:USERS]
    best = ("", 0)
    with Client(GRPC) as client:
        client.wait_until_serving(30)
        for user, history in histories:
            told = client.explain(history[-50:], user_id=user)
            if len(told.causes) > best[1]:
                best = (told.id, len(told.causes))
    return best[0]


if __name__ == "__main__":
    main()

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
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "proto")]

import storage  # noqa: E402 - after the path
from becausal.audit.note import Signer  # noqa: E402
from becausal.client import Client  # noqa: E402
from recommender import load_bundle, read_dataset  # noqa: E402
from server.records import write_key  # noqa: E402

DEMO = ROOT / ".demo"
OUT = ROOT / "docs" / "screens"
GRPC, WEB = "127.0.0.1:50971", "127.0.0.1:50972"
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 360, "height": 780}
USERS = 12


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
                for name, path, size, scheme, whole in (
                    ("list", "/explanations", WIDE, "light", False),
                    ("explanation", f"/explanations/{record}", WIDE, "light", True),
                    ("explanation-dark", f"/explanations/{record}", WIDE, "dark", False),
                    ("explanation-narrow", f"/explanations/{record}", NARROW, "light", False),
                    ("what-if", f"/what-if?explanation={record}&off=3", WIDE, "light", False),
                    ("cards", "/demo?history=168,50,172,181,1,7,174,195", WIDE, "light", False),
                ):
                    page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # two of their literals
                    page.goto(f"http://{WEB}{path}")
                    page.screenshot(path=OUT / f"{name}.png", full_page=whole)
                    print(OUT / f"{name}.png")
                    page.close()
                browser.close()
        finally:
            process.terminate()
            process.wait()


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
            told = client.explain(history[-30:], user_id=user)
            if len(told.causes) > best[1]:
                best = (told.id, len(told.causes))
    return best[0]


if __name__ == "__main__":
    main()

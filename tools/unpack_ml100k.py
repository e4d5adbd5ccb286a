"""Unpacks ml-100k's atomic files from the recbole wheel, which carries them, into a folder; RecBole is not installed.

Usage: ``python tools/unpack_ml100k.py [FOLDER]`` (default ``.demo/ml-100k``). Does nothing when the files are there
already and whole. ml-100k is GroupLens's and has licence terms of its own; it is never committed here.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "recbole==1.2.1"
INSIDE = "recbole/dataset_example/ml-100k/"
FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
"""Name and SHA-256 of each file."""


def whole(folder: Path) -> bool:
    """Whether every file is in the folder with the content that is expected."""
    return all(
        (folder / name).is_file() and hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        for name, digest in FILES.items()
    )


def unpack(folder: Path) -> None:
    """Download the wheel and write the data set's files into the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, WHEEL]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                # By way of a second name, so that an interrupted run leaves no half file under the real one.
                partial = folder / f"{name}.partial"
                partial.write_bytes(archive.read(INSIDE + name))
                partial.replace(folder / name)


def main() -> int:
    """Unpack unless already done."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".demo/ml-100k")
    if not whole(folder):
        unpack(folder)
    if not whole(folder):
        print(f"The files in {folder} are not those of {WHEEL}: delete the folder and run this again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

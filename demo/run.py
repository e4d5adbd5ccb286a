"""The main job on real data: a RecBole checkpoint in, a stored and verified explanation out, over gRPC (`make demo`).

Works in the folder `.demo`, or in the one that is named, where `ml-100k/` must lie (`make .demo/ml-100k/.done`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from becausal.client import Client
from recommender import read_dataset
from server.cli.printing import explanation_lines

if TYPE_CHECKING:
    from becausal.v1.explanation_service_pb2 import RecommendAndExplainResponse

WORK = Path(sys.argv[1] if len(sys.argv) > 1 else ".demo")
CHECKPOINT = Path("demo") / "BERT4Rec-ml-100k.pth"
DATA = WORK / "ml-100k"
BUNDLE = WORK / "bundle"
DATABASE = f"sqlite:///{WORK / 'becausal.db'}"
BECAUSAL = str(Path(sys.executable).with_name("becausal"))
USER = "165"
SHOWN = 5

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line that stands out."""
    console.print(Text(text, style="bold"))


def run(*arguments: str) -> None:
    """Run a command of becausal, showing it as a user would type it."""
    say(f"\n$ becausal {' '.join(arguments)}")
    subprocess.run([BECAUSAL, *arguments], check=True)  # noqa: S603 - our own command


def start_server() -> tuple[subprocess.Popen[str], str]:
    """Start a server on a free port; gives the process and its address."""
    arguments = ["serve", "--bundle", str(BUNDLE), "--database", DATABASE, "--address", "127.0.0.1:0"]
    say(f"\n$ becausal {' '.join(arguments)} &")
    server = subprocess.Popen([BECAUSAL, *arguments], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    line = server.stdout.readline() if server.stdout else ""
    if not line:
        sys.exit(f"The server did not start; it ended with exit code {server.wait()}.")
    console.print(Text(line.rstrip()))
    return server, line.split()[-1]


def show(response: RecommendAndExplainResponse, history: tuple[str, ...]) -> None:
    """The top list with its reasons."""
    say(f"\nThe top {SHOWN} for ml-100k user {USER}, who has rated {len(history)} films:")
    for explanation in response.explanations:
        console.print()
        for line in explanation_lines(explanation):
            console.print(line)
        console.print(Text(f"   becausal audit show {explanation.name}", style="dim"))


def main() -> None:
    """Import, migrate, serve, ask, show, read back, stop."""
    run("import", str(CHECKPOINT), "--data", str(DATA), "--out", str(BUNDLE))
    run("db", "upgrade", "--database", DATABASE)
    history = read_dataset(DATA).histories()[USER]
    server, address = start_server()
    try:
        with Client(address, timeout=120) as client:
            response = client.recommend_and_explain(history, k=SHOWN, user_id=USER)
        show(response, history)
        run("audit", "show", response.explanations[0].name, "--database", DATABASE)
    finally:
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate()
        console.print(Text(f"\n{rest.strip()}"))


if __name__ == "__main__":
    main()

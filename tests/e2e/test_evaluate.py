"""`becausal evaluate` on the demo's model and users: files, one JSON object, and one sentence for bad input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Becausal


def test_evaluate_writes_a_report_and_prints_one_object(becausal: Becausal, demo_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = becausal("evaluate", "--bundle", demo_bundle, "--data", DATA, "--users", 3, "--out", out, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["goals"]["exact_minimum"]["mean"] == 1.0
    assert ran.json == json.loads((out / "evaluation.json").read_text())
    assert "3/3" in ran.err, "the bar is on stderr"
    report = (out / "evaluation.md").read_text()
    assert "becausal evaluate --bundle BUNDLE" in report
    assert str(tmp_path) not in report
    assert len((out / "records.jsonl").read_text().splitlines()) == 3 * 3 * 9
    for picture in ("set-sizes.png", "rows-coverage.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")


def test_some_methods_under_one_intervention(becausal: Becausal, demo_bundle: Path, tmp_path: Path) -> None:
    ran = becausal(
        "evaluate", "--bundle", demo_bundle, "--data", DATA, "--users", 2, "--out", tmp_path, "--no-plots",
        "--methods", "recency,becausal", "--intervention", "DELETE", "--top-k", 5,
    )  # fmt: skip

    assert ran.code == 0, ran.err
    assert "## DELETE" in ran.out
    assert "`becausal`" in ran.out
    assert "`exact`" not in ran.out


def test_an_unknown_method_gets_one_sentence(becausal: Becausal, demo_bundle: Path, tmp_path: Path) -> None:
    ran = becausal("evaluate", "--bundle", demo_bundle, "--data", DATA, "--out", tmp_path / "out", "--methods", "magic")

    assert ran.code == 2
    assert "'magic'" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_said_before_the_evaluation(becausal: Becausal, demo_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    ran = becausal("evaluate", "--bundle", demo_bundle, "--data", DATA, "--out", file)

    assert ran.code == 2
    assert "--out" in ran.err
    assert "Evaluating" not in ran.err

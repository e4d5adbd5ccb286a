"""Each command on the demo's model: what it prints, its exit code, and one sentence for each bad input."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

import storage
from explainer.explanation import Status

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Becausal, Ran

HISTORY = "168,50,172,181,1,7,174,195"


def one_sentence(ran: Ran) -> str:
    """The error a person sees; nothing but it."""
    assert ran.code == 2, ran.out + ran.err
    assert ran.out == ""
    assert re.fullmatch(r"becausal: [^\n]+\.\n", ran.err), ran.err
    return ran.err


def test_recommend_prints_a_list(becausal: Becausal, demo_bundle: Path) -> None:
    ran = becausal("recommend", "--bundle", demo_bundle, "--history", HISTORY, "--k", 3)

    assert ran.code == 0
    assert len(re.findall(r"^ +[123]  \d+", ran.out, flags=re.MULTILINE)) == 3


def test_recommend_as_json_is_one_object(becausal: Becausal, demo_bundle: Path) -> None:
    answer = becausal("recommend", "--bundle", demo_bundle, "--history", HISTORY + ",nope", "--json").json

    assert [item["rank"] for item in answer["items"]] == list(range(1, 11))
    assert answer["unknownItems"] == ["nope"]
    assert not {item["item"] for item in answer["items"]} & set(HISTORY.split(","))
    assert answer["modelVersion"].startswith("sha256:")


def test_explain_as_json_has_the_fields_that_others_read(becausal: Becausal, demo_bundle: Path) -> None:
    answer = becausal("explain", "--bundle", demo_bundle, "--history", HISTORY, "--json").json

    assert answer["status"] == "EXPLAINED"
    assert answer["history"] == HISTORY.split(",")
    assert answer["intervention"] == "MASK_OUT"
    assert {"item", "title", "rank", "score"} <= answer["target"].keys()
    (cause, *_) = answer["causes"]
    assert {"item", "title", "position", "effect", "relation"} <= cause.keys()
    assert {"score", "rank", "probability"} <= cause["effect"].keys()
    assert {"removed", "replacement"} <= answer["counterfactual"].keys()
    assert {"exhaustiveBelow", "setsTried", "alternatives"} <= answer["certificate"].keys()
    graph = answer["graphs"][0]
    assert {"head", "radius", "complete", "edges"} <= graph.keys()
    assert {"source", "target", "markAtSource", "markAtTarget"} <= graph["edges"][0].keys()
    assert answer["reason"].startswith("Because you watched ")
    assert answer["name"] == ""


def test_explain_stores_where_it_is_told_to_and_audit_reads_it(
    becausal: Becausal, demo_bundle: Path, database_file: str
) -> None:
    made = becausal(
        "explain", "--bundle", demo_bundle, "--history", HISTORY, "--user", "7", "--database", database_file, "--json"
    ).json
    shown = becausal("audit", "show", made["name"], "--database", database_file, "--json").json
    listed = becausal("audit", "list", "--database", database_file, "--filter", 'user_id = "7"', "--json").json
    printed = becausal("audit", "show", made["name"], "--database", database_file).out

    assert shown == made
    assert [explanation["name"] for explanation in listed["explanations"]] == [made["name"]]
    assert made["reason"] in printed
    assert made["name"] in becausal("audit", "list", "--database", database_file).out


@pytest.mark.parametrize("intervention", ["MASK_OUT", "DELETE", "DELETE_BACKFILL", "MASK_TOKEN"])
def test_every_intervention_can_be_asked_for(becausal: Becausal, demo_bundle: Path, intervention: str) -> None:
    ran = becausal(
        "explain",
        "--bundle",
        demo_bundle,
        "--history",
        HISTORY,
        "--intervention",
        intervention,
        "--max-size",
        2,
        "--json",
    )

    assert ran.json["intervention"] == intervention


def test_explain_draws_the_graph_into_a_file_and_into_the_terminal(
    becausal: Becausal, demo_bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "graph.svg"
    becausal("explain", "--bundle", demo_bundle, "--history", HISTORY, "--graph", file)
    printed = becausal("explain", "--bundle", demo_bundle, "--history", HISTORY, "--graph", "-", "--head", 1).out

    assert file.read_text().startswith("<svg")
    assert "Star Wars" in file.read_text()
    assert "Edges of " in printed
    one_sentence(becausal("explain", "--bundle", demo_bundle, "--history", HISTORY, "--graph", file, "--head", 9))
    one_sentence(
        becausal("explain", "--bundle", demo_bundle, "--history", HISTORY, "--graph", tmp_path / "no" / "file")
    )


def test_what_if_prints_what_moves(becausal: Becausal, demo_bundle: Path) -> None:
    arguments = ("what-if", "--bundle", demo_bundle, "--history", HISTORY, "--remove", "0,3", "--add", "100", "--k", 3)
    answer = becausal(*arguments, "--json").json

    assert len(answer["before"]) == len(answer["after"]) == 3
    assert answer["movements"][0]["title"] in becausal(*arguments).out
    one_sentence(becausal("what-if", "--bundle", demo_bundle, "--history", HISTORY, "--remove", "x"))
    one_sentence(becausal("what-if", "--bundle", demo_bundle, "--history", HISTORY, "--remove", "99"))


def test_a_negative_answer_is_printed_and_is_no_failure(becausal: Becausal, demo_bundle: Path) -> None:
    ran = becausal("explain", "--bundle", demo_bundle, "--history", "50")

    assert ran.code == 0
    assert "NO_COUNTERFACTUAL" in ran.out


def test_db_makes_checks_and_names_the_schema(becausal: Becausal, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    assert becausal("db", "current", "--database", url).out == "none\n"
    assert becausal("db", "check", "--database", url).code == 1
    assert becausal("db", "upgrade", "--database", url).out == f"Schema {storage.head()}\n"
    assert becausal("db", "check", "--database", url).code == 0
    assert becausal("db", "current", "--database", url).out == f"{storage.head()}\n"
    assert "already there" in becausal("db", "upgrade", "--database", url).out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--history", ""), "history is empty"),
        (("--history", "nope,neither"), "no item that the model knows"),
        (("--history", HISTORY, "--item", "nope"), "not in the model's catalogue"),
        (("--history", HISTORY, "--item", "50"), "is in the history"),
        (("--history", HISTORY, "--item", "1682", "--top-k", "1"), "outside the top 1"),
        (("--history", HISTORY, "--max-size", "99"), "options.max_size is 99"),
        (("--history", HISTORY, "--top-k", "0"), "top_k is 0"),
    ],
)
def test_bad_questions_get_one_sentence(
    becausal: Becausal, demo_bundle: Path, arguments: tuple[str, ...], named: str
) -> None:
    assert named in one_sentence(becausal("explain", "--bundle", demo_bundle, *arguments))


@pytest.mark.parametrize("k", ["0", "101"])
def test_k_out_of_range_gets_one_sentence(becausal: Becausal, demo_bundle: Path, k: str) -> None:
    ran = becausal("recommend", "--bundle", demo_bundle, "--history", HISTORY, "--k", k)

    assert f"k is {k}" in one_sentence(ran)


@pytest.mark.parametrize("file", ["manifest.json", "weights.safetensors", "items.safetensors"])
def test_a_bundle_with_one_flipped_byte_is_refused(
    becausal: Becausal, demo_bundle: Path, tmp_path: Path, file: str
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(demo_bundle, copy)
    damaged = bytearray((copy / file).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (copy / file).write_bytes(damaged)

    one_sentence(becausal("recommend", "--bundle", copy, "--history", HISTORY))


def test_a_folder_that_is_no_bundle_is_refused(becausal: Becausal, tmp_path: Path) -> None:
    one_sentence(becausal("recommend", "--bundle", tmp_path, "--history", HISTORY))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x80\x04N."])
def test_a_file_that_is_no_checkpoint_is_refused_and_leaves_nothing(
    becausal: Becausal, tmp_path: Path, content: bytes
) -> None:
    checkpoint, out = tmp_path / "broken.pth", tmp_path / "bundle"
    checkpoint.write_bytes(content)

    one_sentence(becausal("import", checkpoint, "--out", out))
    assert not out.exists()


def test_a_database_whose_schema_is_behind_is_refused(becausal: Becausal, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    storage.upgrade(url)
    storage.downgrade(url, "base")

    assert "becausal db upgrade" in one_sentence(becausal("audit", "list", "--database", url))


def test_a_dead_database_is_refused_without_its_password(becausal: Becausal) -> None:
    url = "postgresql://becausal:s3cret@127.0.0.1:1/becausal"

    assert "s3cret" not in one_sentence(becausal("audit", "list", "--database", url))


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "show", "explanations/nope"),
        ("audit", "show", "explanations/00000000-0000-7000-8000-000000000000"),
        ("audit", "list", "--filter", "status"),
        ("audit", "list", "--page-token", "x"),
    ],
)
def test_what_audit_cannot_find_or_read_gets_one_sentence(
    becausal: Becausal, database_file: str, arguments: tuple[str, ...]
) -> None:
    one_sentence(becausal(*arguments, "--database", database_file))


def test_nobody_home_is_said_in_one_sentence(becausal: Becausal) -> None:
    ran = becausal("explain", "--address", "127.0.0.1:1", "--history", HISTORY)

    assert "becausal serve" in one_sentence(ran)


def test_a_wrong_setting_is_said_in_one_sentence(becausal: Becausal, tmp_path: Path) -> None:
    file = tmp_path / "becausal.toml"
    file.write_text("colour = 1")

    assert "colour" in one_sentence(becausal("serve", "--config", file))


def test_bad_usage_ends_with_2(becausal: Becausal) -> None:
    assert becausal("explain").code == 2
    assert becausal("no-such-command").code == 2


def test_every_status_has_a_word_in_the_protocol() -> None:
    from becausal.v1 import explanation_pb2 as pb  # noqa: PLC0415

    assert {status.value for status in Status} == set(pb.Explanation.Status.keys()) - {"STATUS_UNSPECIFIED"}

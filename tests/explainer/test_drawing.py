"""The graph as a picture and as text: every edge once, its marks where they belong, and nothing unescaped."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from causal_twin.attention import random_attention
from explainer import Pag, Stop, attention_correlation, edge_support, learn_pag
from explainer.drawing import draw_svg, draw_text
from explainer.errors import InvalidParameterError

SVG = "{http://www.w3.org/2000/svg}"
LABELS = ["Toy Story", "Aladdin & <friends>", "Heat", "Alone", "Star Wars"]


def example() -> Pag:
    """0 o-> 4, 1 --> 4, 0 <-> 2; 3 has no edge."""
    marks = np.zeros((5, 5), dtype=np.int8)
    marks[0, 4], marks[4, 0] = 2, 1
    marks[1, 4], marks[4, 1] = 2, 3
    marks[0, 2], marks[2, 0] = 2, 2
    return Pag(marks, 1, complete=False, stopped=Stop.MAX_RADIUS, tests=12, cutoff=0.318, ambiguous=1)


def test_text_shows_the_edges_of_the_target_first() -> None:
    assert draw_text(example(), LABELS, 4).splitlines() == [
        "Edges of Star Wars:",
        "  Toy Story            o->  Star Wars",
        "  Aladdin & <friends>  -->  Star Wars",
        "",
        "Other edges:",
        "  Toy Story            <->  Heat",
        "",
        "Without edges: Alone",
        "",
        "radius 1, stopped by max radius · 12 tests · cut-off 0.318 · 1 ambiguous triples, 0 contested marks",
    ]


def test_text_says_so_when_there_is_nothing_to_show() -> None:
    lines = draw_text(Pag(np.zeros((2, 2), dtype=np.int8), 0, complete=True, legal=True), ["a", "b"], 1).splitlines()

    assert lines[:2] == ["Edges of b:", "  none"]
    assert lines[-1].endswith("a legal PAG")


def test_the_picture_holds_every_edge_and_mark() -> None:
    root = ET.fromstring(draw_svg(example(), LABELS, 4))  # noqa: S314 - our own

    arcs = [path for path in root.iter(f"{SVG}path") if path.get("fill") == "none" and path.get("class") != "reach"]
    heads = [path for path in root.iter(f"{SVG}path") if path.get("d", "").endswith("z")]
    words = [text.text for text in root.iter(f"{SVG}text") if text.get("class") != "words"]
    assert len(arcs) == 3
    assert len(heads) == 4
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert words[:5] == LABELS
    assert "radius 1, stopped by max radius" in str(words[-1])


@pytest.mark.parametrize("target", [0, 11])
def test_the_target_stands_at_the_right(target: int) -> None:
    attention = random_attention(np.random.default_rng(3), 12)
    support = edge_support(attention[None])
    labels = [f"item {node}" for node in range(12)]

    root = ET.fromstring(draw_svg(learn_pag(attention_correlation(attention)), labels, target, support))  # noqa: S314

    places = {
        text.text: float(text.get("x", ""))
        for text in root.iter(f"{SVG}text")
        if str(text.text).startswith("item") and text.get("class") != "words"
    }
    assert max(places, key=lambda label: places[label]) == f"item {target}"
    history = [places[label] for label in labels if label != f"item {target}"]
    assert history == sorted(history)
    assert "%" in draw_text(learn_pag(attention_correlation(attention)), labels, target, support)


def test_a_long_label_is_cut() -> None:
    assert "…" in draw_svg(example(), ["x" * 80, *LABELS[1:]], 4)


@pytest.mark.parametrize("draw", [draw_svg, draw_text])
def test_labels_and_target_fit_the_graph(draw: object) -> None:
    with pytest.raises(InvalidParameterError, match="labels"):
        draw(example(), LABELS[:2], 1)  # type: ignore[operator]
    with pytest.raises(InvalidParameterError, match="target"):
        draw(example(), LABELS, 5)  # type: ignore[operator]

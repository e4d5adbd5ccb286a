"""Which checkpoints are read, which are refused by name, and what is read out of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recbole_files import architecture, random_weights, settings, write_checkpoint
from recommender.checkpoint import _score, read_checkpoint
from recommender.errors import CorruptCheckpointError, UnsupportedCheckpointError
from recommender.pickles import Call, Global

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, model: str = "BERT4Rec", layout: str = "1.2.1", **changes: Any) -> Path:
    """A checkpoint in the layout of a RecBole version."""
    shape = architecture(model, layout)
    config = settings(shape, layout, **changes.pop("config", {}))
    weights = random_weights(shape) | changes.pop("weights", {})
    return write_checkpoint(folder / "checkpoint.pth", config, weights, **changes)


@pytest.mark.parametrize(
    ("model", "layout", "protocol", "recbole"),
    [
        ("BERT4Rec", "1.0.1", 2, "1.0.1 to 1.1.1"),
        ("BERT4Rec", "1.1.1", 4, "1.0.1 to 1.1.1"),
        ("BERT4Rec", "1.2.1", 4, "1.2.0 to 1.2.1"),
        ("SASRec", "1.0.1", 2, "1.0.0 to 1.2.1"),
        ("SASRec", "1.2.1", 4, "1.0.0 to 1.2.1"),
    ],
)
def test_every_release_is_recognised(tmp_path: Path, model: str, layout: str, protocol: int, recbole: str) -> None:
    """By its keys and shapes, in both pickle protocols that RecBole has used."""
    shape = architecture(model, layout)

    found = read_checkpoint(written(tmp_path, model, layout, protocol=protocol))

    assert found.architecture == shape
    assert found.recbole == recbole
    assert found.best_valid_score == 0.25
    assert found.epoch == 3
    assert found.dataset == "tiny"
    for name, value in random_weights(shape).items():
        np.testing.assert_array_equal(found.tensors[name], value)


def test_the_buggy_layout_is_refused_with_its_reason(tmp_path: Path) -> None:
    """RecBole 1.0.0 reads its prediction at the wrong position."""
    with pytest.raises(UnsupportedCheckpointError, match=r"RecBole 1\.0\.0.*instead of at the mask"):
        read_checkpoint(written(tmp_path, layout="1.0.0"))


@pytest.mark.parametrize("missing", ["output_ffn", "output_ln", "output_bias"])
def test_unreleased_layouts_are_refused(tmp_path: Path, missing: str) -> None:
    """Versions between two releases had parts of the output head."""
    shape = architecture()
    weights = {name: value for name, value in random_weights(shape).items() if not name.startswith(missing)}

    with pytest.raises(UnsupportedCheckpointError, match="no RecBole release"):
        read_checkpoint(write_checkpoint(tmp_path / "x.pth", settings(shape), weights))


@pytest.mark.parametrize(
    ("model", "reason"),
    [("CORE", "pools"), ("S3Rec", "second checkpoint"), ("LightSANs", "latent"), ("GRU4Rec", "self-attention")],
)
def test_other_models_are_refused_by_name(tmp_path: Path, model: str, reason: str) -> None:
    """With the reason, and what can be imported instead."""
    with pytest.raises(UnsupportedCheckpointError, match=f"{model}.*{reason}.*BERT4Rec or a SASRec"):
        read_checkpoint(written(tmp_path, config={"model": model}))


def test_parameters_of_another_model_are_refused(tmp_path: Path) -> None:
    """Whatever the config says."""
    with pytest.raises(UnsupportedCheckpointError, match="other parameters"):
        read_checkpoint(written(tmp_path, weights={"gru.weight": np.ones(3, np.float32)}))


@pytest.mark.parametrize(
    "config",
    [
        {"n_heads": 3},
        {"n_heads": 0},
        {"n_heads": True},
        {"n_layers": 10**9},
        {"hidden_size": 8},
        {"layer_norm_eps": "1e-12"},
        {"layer_norm_eps": 1},
        {"model": None},
    ],
)
def test_impossible_sizes_are_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    """The config comes out of the file and is believed in nothing."""
    with pytest.raises(CorruptCheckpointError, match=r"save the checkpoint again\."):
        read_checkpoint(written(tmp_path, config=config))


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    """The message lists the known ones."""
    with pytest.raises(UnsupportedCheckpointError, match="gelu, relu"):
        read_checkpoint(written(tmp_path, config={"hidden_act": "quartic"}))


@pytest.mark.parametrize("score", [float("-inf"), float("nan"), None, "0.3", -1])
def test_a_run_that_never_validated_has_no_score(tmp_path: Path, score: Any) -> None:
    """RecBole then stores minus infinity."""
    assert read_checkpoint(written(tmp_path, best_valid_score=score)).best_valid_score is None


@pytest.mark.parametrize("score", [0.125, np.float64(0.125), np.float32(0.125)])
def test_scores_are_python_or_numpy_floats(tmp_path: Path, score: Any) -> None:
    """In both protocols."""
    for protocol in (2, 4):
        assert read_checkpoint(written(tmp_path, best_valid_score=score, protocol=protocol)).best_valid_score == 0.125


def test_a_numpy_scalar_of_another_type_is_no_score() -> None:
    """Its bytes are not what the type says."""
    dtype = Call(Global("numpy", "dtype"), ("O8",))
    scalar = Global("numpy.core.multiarray", "scalar")

    assert _score(Call(scalar, (dtype, struct.pack("<d", 1.0)))) is None
    assert _score(Call(scalar, (Call(Global("numpy", "dtype"), ("f8",)), b"short"))) is None

"""Reads a RecBole checkpoint as data: which model it holds, its weights, and the settings that shaped its item ids.

RecBole 1.0.1 to 1.2.1 save ``{config, epoch, cur_step, best_valid_score, state_dict, other_parameter, optimizer}`` with
``torch.save``. No version number is in the file; the layouts differ in their keys and shapes (`_bert4rec_head`). Two
traps of the format shape this module: the config's values must never go back into a RecBole ``Config``, which runs
``eval`` on every string, and its paths are the writer's, never to be opened here.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recommender.architecture import ACTIVATIONS, Architecture, Head, Model
from recommender.archive import TorchArchive
from recommender.errors import CorruptCheckpointError, UnsupportedCheckpointError
from recommender.pickles import Call, Global

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ALLOWED: Final = frozenset(
    {
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),  # the bytes of a numpy scalar in protocol 2 files
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("recbole.config.configurator", "Config"),
        ("recbole.utils.enum_type", "EvaluatorType"),
        ("recbole.utils.enum_type", "InputType"),
        ("recbole.utils.enum_type", "ModelType"),
        ("torch", "FloatStorage"),
        ("torch", "DoubleStorage"),
        ("torch", "HalfStorage"),
        ("torch", "BFloat16Storage"),
        ("torch", "LongStorage"),
        ("torch", "device"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("yaml.loader", "FullLoader"),
    }
)
"""Globals of the checkpoints that RecBole writes for models that are served. Storages of other types are named here so
that they are refused with their reason."""

MODEL_PACKAGES: Final = (
    "recbole.model.sequential_recommender",
    "recbole.model.general_recommender",
    "recbole.model.context_aware_recommender",
    "recbole.model.knowledge_aware_recommender",
)

REFUSED: Final = {
    "SASRecCPR": "its scores come from a pointer network on top of the encoder",
    "SASRecF": "it needs item features and pickles a module of code",
    "FDSA": "it needs item features and pickles a module of code",
    "S3Rec": "it needs item features and a second checkpoint",
    "CORE": "it pools over all positions, so that no position's attention leads to the recommendation",
    "GCSAN": "its attention runs over the output of a graph network, not over the items",
    "LightSANs": "its attention is over latent interests, not over the items",
    "FEARec": "it mixes attention with a Fourier autocorrelation",
}
"""RecBole's other transformers and why none is served yet."""

LIMITS: Final = {
    "n_layers": (1, 64),
    "n_heads": (1, 256),
    "hidden_size": (1, 16_384),
    "inner_size": (1, 262_144),
    "MAX_ITEM_LIST_LENGTH": (2, 16_384),
}
"""Smallest and largest value of each size in the config."""

LONGEST_NAME: Final = 200
"""Characters of a data set's name that are kept."""

_FLOAT_FORMATS: Final = {"f8": "d", "f4": "f"}


def _allows(module: str, name: str) -> bool:
    """Whether a checkpoint may name this: the list, and any model class of RecBole, which is judged by its name later."""
    package, _, file = module.rpartition(".")
    return (module, name) in ALLOWED or (package in MODEL_PACKAGES and name.isidentifier() and file == name.lower())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's content, checked."""

    architecture: Architecture
    tensors: dict[str, NDArray[np.float32]]
    """The parameters by RecBole's names, exactly those of ``architecture.schema()``."""

    settings: dict[str, Any]
    """RecBole's final config; read single known keys only, since the file chooses the rest."""

    recbole: str
    """The RecBole versions that write this layout, as in ``1.2.x``."""

    dataset: str
    epoch: int
    best_valid_score: float | None
    """None when training never validated."""

    digest: str
    """SHA-256 of the file, hex."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint at the path without running any of it.

    Raises:
        CorruptCheckpointError: it is damaged, or holds what RecBole never writes.
        UnsupportedCheckpointError: it is of another model, or of a layout that cannot be served.
    """
    with TorchArchive(path) as archive:
        content = archive.pickle(_allows)
        state = _entries(content, path, "config", "state_dict", "epoch", "best_valid_score")
        settings = _settings(state["config"], path)
        symbols = _tensors(state["state_dict"], path)
        _refuse_other_state(state, path)
        architecture, recbole = _architecture(settings, symbols, path)
        missing = architecture.schema().keys() ^ symbols.keys()
        if missing:
            raise UnsupportedCheckpointError(
                f"{path} has other parameters than a {architecture.model.value} of RecBole 1.0.1 to 1.2.1 "
                f"({', '.join(sorted(missing)[:3])}); train it with one of these versions."
            )
        tensors = {name: archive.tensor(symbols[name], name, shape) for name, shape in architecture.schema().items()}
    return Checkpoint(
        architecture=architecture,
        tensors=tensors,
        settings=settings,
        recbole=recbole,
        dataset=settings["dataset"][:LONGEST_NAME] if type(settings.get("dataset")) is str else "",
        epoch=state["epoch"] if type(state["epoch"]) is int else -1,
        best_valid_score=_score(state["best_valid_score"]),
        digest=file_digest(path),
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(content: Any, path: Path, *names: str) -> dict[str, Any]:
    if type(content) is not dict or any(name not in content for name in names):
        raise CorruptCheckpointError(
            f"{path} is a torch file but no RecBole checkpoint; give the .pth file that RecBole's trainer saved."
        )
    return content


def _settings(config: Any, path: Path) -> dict[str, Any]:
    state = config.state if type(config) is Call and config.function.name == "Config" else None
    settings = state.get("final_config_dict") if type(state) is dict else None
    if type(settings) is not dict:
        raise CorruptCheckpointError(
            f"{path} holds no RecBole config; give the .pth file that RecBole's trainer saved."
        )
    return settings


def _tensors(state_dict: Any, path: Path) -> dict[str, Any]:
    if type(state_dict) is not Call or state_dict.function != Global("collections", "OrderedDict"):
        raise CorruptCheckpointError(f"{path} holds no weights; give the .pth file that RecBole's trainer saved.")
    if any(type(name) is not str for name in state_dict.items):
        raise CorruptCheckpointError(f"{path} holds weights without names; save the checkpoint again.")
    return state_dict.items


def _refuse_other_state(state: dict[str, Any], path: Path) -> None:
    if state.get("other_parameter") not in ({}, None):
        raise UnsupportedCheckpointError(
            f"{path} keeps state outside its weights, which BERT4Rec and SASRec never do; import a checkpoint of those."
        )


def _architecture(settings: dict[str, Any], symbols: dict[str, Any], path: Path) -> tuple[Architecture, str]:
    model = _model(settings, path)
    sizes = {name: _size(settings, name, path) for name in LIMITS}
    rows, columns = _shape(symbols, "item_embedding.weight", path)
    positions, _ = _shape(symbols, "position_embedding.weight", path)
    head, recbole = Head.PLAIN, "1.0.0 to 1.2.1"
    if model is Model.BERT4REC:
        head, recbole = _bert4rec_head(settings, symbols, positions, sizes["MAX_ITEM_LIST_LENGTH"], path)
    if columns != sizes["hidden_size"] or sizes["hidden_size"] % sizes["n_heads"]:
        raise CorruptCheckpointError(f"{path} states sizes that its weights do not have; save the checkpoint again.")
    activation, eps = settings.get("hidden_act"), settings.get("layer_norm_eps")
    if activation not in ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{path} uses an unknown activation; train with one of {', '.join(ACTIVATIONS)}."
        )
    if type(eps) is not float or not 0 < eps < 1:
        raise CorruptCheckpointError(f"{path} has a layer_norm_eps that is no small number; save the checkpoint again.")
    return Architecture(
        model=model,
        head=head,
        layers=sizes["n_layers"],
        heads=sizes["n_heads"],
        hidden_size=sizes["hidden_size"],
        inner_size=sizes["inner_size"],
        activation=str(activation),
        layer_norm_eps=eps,
        positions=positions,
        max_list=sizes["MAX_ITEM_LIST_LENGTH"],
        items=rows - (model is Model.BERT4REC),
    ), recbole


def _model(settings: dict[str, Any], path: Path) -> Model:
    name = settings.get("model")
    if type(name) is not str:
        raise CorruptCheckpointError(f"{path} does not say which model it holds; save the checkpoint again.")
    served = {model.value: model for model in Model}
    if name not in served:
        reason = REFUSED.get(name, "its recommendations do not come from self-attention over the history")
        raise UnsupportedCheckpointError(
            f"{path} holds a {name[:40]}, which cannot be served: {reason}; import a {' or a '.join(served)}."
        )
    return served[name]


def _bert4rec_head(
    settings: dict[str, Any], symbols: dict[str, Any], positions: int, max_list: int, path: Path
) -> tuple[Head, str]:
    """Which BERT4Rec this is, by its position rows and the keys of its output head."""
    head_keys = {"output_ffn.weight", "output_ln.weight", "output_bias"} & symbols.keys()
    if positions == max_list + 1 and not head_keys:
        if "log_wandb" not in settings:
            raise UnsupportedCheckpointError(
                f"{path} was written by RecBole 1.0.0, whose BERT4Rec reads its prediction at the last item instead of "
                "at the mask; train it again with RecBole 1.2.1."
            )
        return Head.PLAIN, "1.0.1 to 1.1.1"
    if positions == max_list and len(head_keys) == len(("ffn", "ln", "bias")):
        return Head.TRANSFORMED, "1.2.0 to 1.2.1"
    raise UnsupportedCheckpointError(
        f"{path} has a BERT4Rec layout of no RecBole release (an unreleased version of 2023 wrote such files); train it "
        "again with RecBole 1.2.1."
    )


def _size(settings: dict[str, Any], name: str, path: Path) -> int:
    value, (least, most) = settings.get(name), LIMITS[name]
    if type(value) is not int or not least <= value <= most:
        raise CorruptCheckpointError(f"{path} has no {name} between {least} and {most}; save the checkpoint again.")
    return value


def _shape(symbols: dict[str, Any], name: str, path: Path) -> tuple[int, int]:
    """Rows and columns that a matrix claims to have; its storage is checked when it is read."""
    symbol = symbols.get(name)
    size = symbol.arguments[2] if type(symbol) is Call and len(symbol.arguments) > len(("storage", "offset")) else None
    if type(size) is not tuple or [type(length) for length in size] != [int, int] or min(size) < 2:  # noqa: PLR2004
        raise CorruptCheckpointError(f"{path} has no matrix {name}; save the checkpoint again.")
    return size[0], size[1]


def _score(value: Any) -> float | None:
    """The score, which RecBole stores as a Python float or as a numpy scalar."""
    if type(value) is Call and value.function.name == "scalar" and len(value.arguments) == len(("dtype", "bytes")):
        value = _numpy_scalar(*value.arguments)
    return float(value) if type(value) is float and math.isfinite(value) else None


def _numpy_scalar(dtype: Any, content: Any) -> float | None:
    kind = dtype.arguments[0] if type(dtype) is Call and dtype.arguments else None
    if type(content) is Call and content.function == Global("_codecs", "encode"):  # protocol 2 has no bytes
        text = content.arguments[0] if content.arguments else None
        content = text.encode("latin1", "replace") if type(text) is str else None
    layout = _FLOAT_FORMATS.get(kind) if type(kind) is str else None
    if layout is None or type(content) is not bytes or len(content) != struct.calcsize(layout):
        return None
    (number,) = struct.unpack(f"<{layout}", content)
    return float(number)

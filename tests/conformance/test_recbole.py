"""becausal against RecBole's own classes, in one process: scores, item numbers, split, metrics, training.

Runs in .venv-recbole; collected and skipped everywhere else.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from recbole_files import architecture, random_weights, settings
from recommender import HistoryPolicy, Recommender, import_checkpoint, load_bundle, read_dataset
from recommender.bundle import Content
from recommender.checkpoint import read_checkpoint
from recommender.data_settings import DataSettings
from recommender.errors import TrainingError
from recommender.evaluation import metric, ranks
from recommender.training import TrainingSettings, train
from recommender.vocabulary import read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from explainer.model import History

pytestmark = [
    pytest.mark.recbole,
    pytest.mark.skipif(find_spec("recbole") is None, reason="needs RecBole; run in .venv-recbole"),
]
CLOSE = 1e-5
ROOT = Path(__file__).resolve().parents[2]


def recbole_input(rows: Sequence[Sequence[int]], width: int) -> dict[str, torch.Tensor]:
    """Item numbers as RecBole's loader gives them: left-aligned, zeros after."""
    items = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        items[place, : len(row)] = torch.tensor(row)
    return {"item_id_list": items, "item_length": torch.tensor([len(row) for row in rows])}


def numbers(model: Recommender, histories: Sequence[History]) -> list[list[int]]:
    """RecBole's item numbers of each window."""
    return [model.bundle.catalogue.numbers(history.items) for history in histories]


@torch.inference_mode()
def scores_of(model: Any, batch: dict[str, torch.Tensor]) -> np.ndarray:
    """RecBole's full_sort_predict."""
    found: np.ndarray = model.full_sort_predict(batch).numpy()
    return found


@pytest.fixture(name="demo", scope="session")
def _demo(ml100k: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """The shipped checkpoint, imported."""
    (checkpoint,) = (ROOT / "demo").glob("*.pth")
    out = tmp_path_factory.mktemp("demo") / "bundle"
    return Recommender(import_checkpoint(checkpoint, data=ml100k, out=out).bundle)


@pytest.fixture(name="demo_twin")
def _demo_twin(recbole_model: Callable[..., Any]) -> Any:
    """The same checkpoint in RecBole's class."""
    (checkpoint,) = (ROOT / "demo").glob("*.pth")
    source = read_checkpoint(checkpoint)
    return recbole_model(source.settings, source.tensors, source.architecture.items)


def test_256_real_histories_score_as_in_recbole(demo: Recommender, demo_twin: Any, ml100k: Path) -> None:
    """Equal to full_sort_predict when RecBole is given one extra leading item, which its inference drops."""
    histories = list(read_dataset(ml100k, demo.bundle.data_settings).histories().values())[:256]
    windows = [demo.window(tokens) for tokens in histories]

    expected = scores_of(demo_twin, recbole_input([[1, *row] for row in numbers(demo, windows)], 50))

    np.testing.assert_allclose(demo.scores(windows), expected, atol=CLOSE)


def test_recbole_exact_needs_no_extra_item(demo: Recommender, demo_twin: Any, ml100k: Path) -> None:
    """The policy drops what RecBole drops, short histories included."""
    exact = Recommender(demo.bundle, history_policy=HistoryPolicy.RECBOLE_EXACT)
    full = list(read_dataset(ml100k, demo.bundle.data_settings).histories().values())[:64]
    full += [tokens[:length] for tokens, length in zip(full, range(1, 40), strict=False)]
    windows = [exact.window(tokens) for tokens in full]
    fed = [demo.bundle.catalogue.numbers(tokens[-50:]) for tokens in full]

    np.testing.assert_allclose(exact.scores(windows), scores_of(demo_twin, recbole_input(fed, 50)), atol=CLOSE)


@pytest.mark.parametrize("activation", ["gelu", "relu", "swish", "tanh", "sigmoid"])
@pytest.mark.parametrize("model", ["BERT4Rec", "SASRec"])
def test_random_weights_score_as_in_recbole(recbole_model: Callable[..., Any], model: str, activation: str) -> None:
    """Weights so large that every part of the model matters."""
    shape = architecture(model, activation=activation, layers=3)
    weights = random_weights(shape, spread=0.2)
    twin = recbole_model(settings(shape), weights, shape.items)
    tokens = ("[PAD]", *map(str, range(1, shape.items)))
    ours = Recommender(Content(shape, weights, tokens, {}, "").draft(), history_policy=HistoryPolicy.RECBOLE_EXACT)
    rng = np.random.default_rng(0)
    lists = [rng.integers(1, shape.items, length).tolist() for length in itertools.chain(range(1, 13), range(1, 13))]

    found = ours.scores([ours.window([str(number) for number in row]) for row in lists])

    np.testing.assert_allclose(found, scores_of(twin, recbole_input(lists, shape.max_list)), atol=CLOSE)


NASTY = """user_id:token\titem_id:token\trating:float\ttimestamp:float
3\tb\t5\t900
1\ta\t3\t100
1\tNA\t3\t100
2\tc d\t1\t300
2\tb\t4\t300
1\tc d\t2\t50
3\ta\t1\t20
3\t"q\tu"\t4\t30
2\té\t5\t200
1\tb\t5\t70

3\té\t5\t10
4\tz\t3\t5
1\té\t4\t60
2\ta\t4\t100
"""
ITEM = (
    "item_id:token\ttitle:token_seq\tyear:float\nb\tThe B\t2000\nnew\tNever Seen\t1990\na\tA\t1980\né\tE\t\nz\tZ\t1\n"
)
USER = "user_id:token\tage:token\n1\t20\n2\t30\n3\t40\n5\t50\n"

OPTIONS: list[dict[str, Any]] = [
    {},
    {"val_interval": {"rating": "[3,inf)"}},
    {"val_interval": {"rating": "(1,3];[5,5]"}},
    {"user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"},
    {"item_inter_num_interval": "[3,inf)"},
    {"normalize_all": False},
    {"filter_inter_by_user_or_item": False},
]
COLUMNS: list[Any] = [
    {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "year"]},
    None,
]


@pytest.mark.parametrize("columns", COLUMNS, ids=["inter", "inter and item", "all"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "defaults")
def test_items_are_numbered_as_in_recbole(
    recbole_dataset: Callable[..., Any], tmp_path: Path, options: dict[str, Any], columns: Any
) -> None:
    """Every filter with every choice of files, on a data set that is as awkward as the format allows."""
    folder = tmp_path / "nasty"
    folder.mkdir()
    for suffix, content in (("inter", NASTY), ("item", ITEM), ("user", USER)):
        (folder / f"nasty.{suffix}").write_text(content)
    config, theirs = recbole_dataset(folder, load_col=columns, **options)

    ours = read_dataset(folder, DataSettings.from_recbole(config.final_config_dict))

    assert list(ours.item_tokens) == theirs.field2id_token["item_id"].tolist()
    _assert_same_histories(ours.histories(), config, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"val_interval": {"rating": "[4,inf)"}},
        {"user_inter_num_interval": "[20,inf)", "item_inter_num_interval": "[5,inf)"},
    ],
)
def test_ml100k_is_numbered_and_ordered_as_in_recbole(
    recbole_dataset: Callable[..., Any], ml100k: Path, options: dict[str, Any]
) -> None:
    """And so are its users' histories, item by item."""
    config, theirs = recbole_dataset(ml100k, **options)

    ours = read_dataset(ml100k, DataSettings.from_recbole(config.final_config_dict))

    assert list(ours.item_tokens) == theirs.field2id_token["item_id"].tolist()
    _assert_same_histories(ours.histories(), config, theirs)


def _assert_same_histories(ours: dict[str, tuple[str, ...]], config: Any, theirs: Any) -> None:
    """RecBole's longest row of each user is the whole history up to its window."""
    from recbole.data import data_preparation  # noqa: PLC0415

    config["eval_args"] = config["eval_args"] | {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO"}
    _, _, test = data_preparation(config, theirs)
    rows = test._dataset.inter_feat
    tokens = theirs.field2id_token["item_id"]
    columns = (rows["user_id"], rows["item_id_list"], rows["item_length"], rows["item_id"])
    compared = 0
    for user, items, length, target in zip(*(column.tolist() for column in columns), strict=True):
        name = theirs.field2id_token["user_id"][user]
        assert ours[name][-length - 1 :] == tuple(tokens[[*items[:length], target]].tolist())
        compared += 1
    assert compared == sum(len(history) > 2 for history in ours.values())


def test_the_saved_data_set_is_the_vocabulary(recbole_dataset: Callable[..., Any], ml100k: Path) -> None:
    """RecBole's .pth, parsed as symbols."""
    _, theirs = recbole_dataset(ml100k, save_dataset=True, checkpoint_dir="saved")
    (path,) = Path("saved").glob("*.pth")

    found = read_vocabulary(path, "item_id", theirs.item_num)

    assert list(found) == theirs.field2id_token["item_id"].tolist()


@pytest.mark.parametrize("model", ["BERT4Rec", "SASRec"])
def test_a_model_trained_here_scores_as_in_recbole(
    recbole_model: Callable[..., Any], ml100k: Path, tmp_path: Path, model: str
) -> None:
    """`train` for seconds, import, and compare scores, metric and progress with RecBole's own."""
    seen: list[int] = []
    small = TrainingSettings(
        model=model, epochs=4, batches=4, validate_every=2, max_length=20, hidden_size=16, inner_size=32, batch_size=64
    )

    trained = train(ml100k, tmp_path / "out", seed=7, settings=small, progress=lambda state: seen.append(state.epoch))

    assert seen == [1, 2, 3, 4]
    assert trained.checkpoint == tmp_path / "out" / f"{model}-ml-100k.pth"
    source = read_checkpoint(trained.checkpoint)
    assert source.best_valid_score == pytest.approx(trained.valid)
    imported = import_checkpoint(trained.checkpoint, data=ml100k, out=tmp_path / "bundle")
    assert imported.self_check.agrees
    ours = Recommender(load_bundle(tmp_path / "bundle"), history_policy=HistoryPolicy.RECBOLE_EXACT)
    data = read_dataset(ml100k, imported.bundle.data_settings)
    lists = [tokens[-20:] for tokens in list(data.histories().values())[:100]]
    twin = recbole_model(source.settings, source.tensors, source.architecture.items)
    fed = recbole_input([ours.bundle.catalogue.numbers(tokens) for tokens in lists], 20)
    np.testing.assert_allclose(ours.scores([ours.window(tokens) for tokens in lists]), scores_of(twin, fed), atol=CLOSE)
    assert metric("NDCG@10", ranks(ours, data.held_out("test"), exclude_history=False)) == trained.with_history.ndcg
    assert b"/tmp/" not in trained.checkpoint.read_bytes()


def test_training_twice_gives_the_same_weights(ml100k: Path, tmp_path: Path) -> None:
    """A seed is a seed; another is another."""
    small = TrainingSettings(epochs=1, batches=2, validate_every=1, max_length=10, hidden_size=8, inner_size=8)
    runs = [train(ml100k, tmp_path / str(run), seed=seed, settings=small) for run, seed in enumerate((1, 1, 2))]

    first, again, other = (read_checkpoint(run.checkpoint).tensors["item_embedding.weight"] for run in runs)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_settings_that_recbole_refuses_are_refused_in_a_sentence(ml100k: Path, tmp_path: Path) -> None:
    """Heads that do not divide the width; a run without validation; a model that cannot be served."""
    tiny = TrainingSettings(epochs=1, batches=1, validate_every=1, hidden_size=8, inner_size=8)
    for changed, message in [
        (replace(tiny, heads=3), "multiple of the number"),
        (replace(tiny, model="GRU4Rec"), "train one of"),
    ]:
        with pytest.raises(TrainingError, match=message):
            train(ml100k, tmp_path, settings=changed)
    with pytest.raises(TrainingError, match="no data set"):
        train("ml-nothing", tmp_path)

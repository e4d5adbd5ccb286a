"""The compiled passes made ready: half a minute once after an installation, a fraction of a second in each process after that."""

from __future__ import annotations

from functools import cache

import torch

from recommender.architecture import Architecture, Head, Model
from recommender.compiled.network import CompiledNetwork
from recommender.compiled.scores import CompiledScores
from recommender.network import Hiding
from recommender.parameters import prepare
from recommender.scoring import Scorer

_SHAPE = Architecture(
    model=Model.BERT4REC,
    head=Head.TRANSFORMED,
    layers=2,
    heads=1,
    hidden_size=1,
    inner_size=1,
    activation="gelu",
    layer_norm_eps=1e-12,
    max_list=2,
    positions=2,
    items=2,
)


@cache
def warm_up() -> None:
    """Compile the passes, or load them from the disk cache, so that the first question does not wait for it."""
    weights = {name: torch.zeros(size) for name, size in _SHAPE.schema().items()}
    parameters = prepare(_SHAPE, weights, "cpu", torch.float32)
    network, scores = CompiledNetwork(parameters), CompiledScores(parameters.items, parameters.item_bias)
    numbers = torch.zeros(1, 1, dtype=torch.long)
    network.attention(numbers[0])
    network.predict_hiding([Hiding(numbers[0], torch.ones(1, 1))])
    Scorer(scores).outcomes(network.predict(numbers), 1, numbers[0], 1)

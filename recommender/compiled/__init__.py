"""The forward passes compiled for the processor at hand; `network` and `scores` are the ways in.

    network       histories in, hidden states out: what `recommender.network` does with torch, on any device
    scores        hidden states in, scores of items out, and how one item stands among them
    passes        what Python calls: histories as they are, and versions of one with items hidden
    catalogue     what Python calls about items
    layers        the steps of a pass: embedding, attention, feed-forward, the position where the prediction is read
    weights       a model's parameters as the passes read them
    functions     exponential, activations, LayerNorm, weights of attention
    products      matrix products from register tiles
    tiles         register tiles as LLVM writes them
    lanes         sums over rows, likewise
    vectors       what both are written with

Everything is 32 bits, and the order of every addition is written down: products add up along the inner dimension, sums over a row
go to 16 lanes that are then added pairwise. So the bits do not depend on how many histories are asked about, nor on the width
of the processor's vectors (docs/decisions/0206-compiled-passes.md).
"""

from explainer.compiling import digest
from explainer.model import NEAR_TIE
from recommender.architecture import ACTIVATIONS

SOURCES = digest(__file__, NEAR_TIE, ACTIVATIONS)
"""Part of the key of the disk cache: these files, and what they take from elsewhere."""

"""The forward passes compiled for the processor at hand; `recommender.compiled.network` is the way in.

    network       histories in, hidden states out: what `recommender.network` does with torch, on any device
    passes        what Python calls: histories as they are, and versions of one with items hidden
    layers        the steps of a pass: embedding, attention, feed-forward, the position where the prediction is read
    weights       a model's parameters as the passes read them
    products      matrix products from register tiles
    tiles         vectors of the processor as LLVM writes them: register tiles, sums over lanes
    functions     exponential, activations, LayerNorm, weights of attention

Everything is 32 bits, and the order of every addition is written down: products add up along the inner dimension, sums over a row
go to 16 lanes that are then added pairwise. So the bits do not depend on how many histories are asked about, nor on the width
of the processor's vectors (docs/decisions/0206-compiled-passes.md).
"""

"""Attention -> correlation -> PAG -> candidate causes -> verified counterfactual -> reason. Pure domain: numpy and numba."""

from explainer.attention import attention_correlation
from explainer.icd import learn_pag
from explainer.pag import Mark, Pag, Stop
from explainer.tree import InfluenceTree, possible_influence_tree

__all__ = [
    "InfluenceTree",
    "Mark",
    "Pag",
    "Stop",
    "attention_correlation",
    "learn_pag",
    "possible_influence_tree",
]

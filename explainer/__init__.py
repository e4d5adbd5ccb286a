"""Attention -> correlation -> PAG -> candidate causes -> verified counterfactual -> reason. Pure domain: numpy and numba."""

from explainer.attention import attention_correlation
from explainer.budget import Budget
from explainer.explain import explain
from explainer.explanation import Explanation, Status
from explainer.icd import learn_pag, learn_pags, warm_up
from explainer.language import Languages
from explainer.model import ExplainableModel, History, Outcomes, ScoredItem
from explainer.pag import Mark, Pag, Stop
from explainer.reason import Wording
from explainer.settings import Intervention, Settings
from explainer.support import EdgeSupport, edge_support
from explainer.tree import InfluenceTree, possible_influence_tree

__all__ = [
    "Budget",
    "EdgeSupport",
    "ExplainableModel",
    "Explanation",
    "History",
    "InfluenceTree",
    "Intervention",
    "Languages",
    "Mark",
    "Outcomes",
    "Pag",
    "ScoredItem",
    "Settings",
    "Status",
    "Stop",
    "Wording",
    "attention_correlation",
    "edge_support",
    "explain",
    "learn_pag",
    "learn_pags",
    "possible_influence_tree",
    "warm_up",
]

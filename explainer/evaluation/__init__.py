"""How good are explanations? Methods and controls on the same users, model and removals, with paired intervals.

The protocol is that of the field (docs/evaluation.md names the sources). Everything works on `ExplainableModel`; only the
method `gradient` asks for more (`MarginGradient`).
"""

from explainer.evaluation.methods import METHODS
from explainer.evaluation.run import Evaluation, cases, evaluate
from explainer.evaluation.study import Plan
from explainer.evaluation.subject import Case, MarginGradient

__all__ = ["METHODS", "Case", "Evaluation", "MarginGradient", "Plan", "cases", "evaluate"]

"""What an explanation is: the values that the search finds, the database stores and the API shows.

Words and meaning follow docs/architecture.md. Positions count from 0 in the history as explained; a rank counts from 1
among the candidates (the catalogue without what the user has had). All values are frozen: a record never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# Imported at run time, since storage reads the annotations there.
from explainer.pag import Mark, Stop  # noqa: TC001
from explainer.settings import Intervention, Settings  # noqa: TC001


class Status(Enum):
    """How the search ended. A negative answer is an answer, not an error."""

    EXPLAINED = "EXPLAINED"
    """A set of past items was found whose absence, verified on the model, takes the target from its place."""

    NO_COUNTERFACTUAL = "NO_COUNTERFACTUAL"
    """Every set that was to be tried was tried, and the target kept its place."""

    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    """The row budget or the deadline ended the search before an answer."""


class Relation(Enum):
    """How a past item stands to the target in a PAG, read off the marks of the edge between them."""

    CAUSE = "CAUSE"
    """item --> target."""

    POSSIBLE_CAUSE = "POSSIBLE_CAUSE"
    """item o-> target, item o-o target or item --o target: a cause in some members of the equivalence class."""

    HIDDEN_COMMON_CAUSE = "HIDDEN_COMMON_CAUSE"
    """item <-> target: connected only through something that the graph does not show."""

    NOT_A_CAUSE = "NOT_A_CAUSE"
    """item <-- target or item <-o target: in this graph the arrow points away from the target."""

    SELECTION = "SELECTION"
    """item --- target: connected by selection."""

    INDIRECT = "INDIRECT"
    """Not adjacent, but on a possible-d-sep path that ends at the target."""

    NOT_CONNECTED = "NOT_CONNECTED"
    """Not reached from the target at all."""


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One item at its place in a recommendation list."""

    item: str
    title: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What removing one past item alone does to the target."""

    score: float
    """Target's score without the item minus its score with it."""

    rank: int
    """Target's rank without the item."""

    probability: float
    """Change of the target's softmax probability over the candidates."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A past item of the returned set."""

    item: str
    title: str
    position: int
    effect: Effect
    relation: Relation
    """The strongest relation over the heads, in the order in which Relation lists them."""

    relation_text: str
    """The same in words, in the reason's language."""

    relation_by_head: tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The history without the causes, and what the model does with it."""

    removed: tuple[int, ...]
    """Positions taken out, ascending."""

    replacement: RankedItem
    """The item that takes the target's place. Its rank and score are those in the original list."""

    replacement_score: float
    """Replacement's score in the counterfactual."""

    target_score: float
    """Target's score in the counterfactual."""

    target_rank: int
    """Target's rank in the counterfactual."""


class CertificateKind(Enum):
    """How small the returned set is known to be."""

    MINIMUM = "MINIMUM"
    """Every smaller set was tried, and none explains."""

    IRREDUCIBLE = "IRREDUCIBLE"
    """No part of the set explains; the budget ended before all other smaller sets were tried."""

    BEST_FOUND = "BEST_FOUND"
    """The set explains; the budget ended before its parts were tried."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Which sets were tried, so that "smallest" is a checked statement."""

    kind: CertificateKind | None
    """None without a set."""

    exhaustive_below: int
    """Every set of fewer items than this was tried on the model and none explains."""

    sets_tried: int
    alternatives: int
    """Other sets of the same size that were found to explain as well."""

    max_size: int
    """No set larger than this was to be tried."""

    exhausted: bool
    """Whether all sets of the returned size were tried, so that there are no other alternatives; without a set, whether
    all sets up to max_size were."""


class Obstacle(Enum):
    """Why no set was found, as far as single effects tell."""

    STANDS_WITHOUT_HISTORY = "STANDS_WITHOUT_HISTORY"
    """The target keeps its place even without any history: the model recommends it to anybody."""

    MANY_SMALL_EFFECTS = "MANY_SMALL_EFFECTS"
    """Even the max_size largest single effects do not add up to the target's lead."""

    SUBSTITUTES = "SUBSTITUTES"
    """Single effects add up to the target's lead, but together they do less: other items step in."""

    NO_RIVALS = "NO_RIVALS"
    """There are no more candidates than places in the list, so that nothing can take the target's."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds the target in its place when no set was found."""

    obstacle: Obstacle
    rank_without_history: int | None
    """The target's rank when the whole history is removed; None for a model that cannot rank nothing."""

    items_needed: int | None
    """Fewest items whose single effects add up to the target's lead; None when all together do not."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """What else holds of the returned set."""

    moves_under: tuple[Intervention, ...]
    """Interventions under which removing the same set takes the target from its place."""

    stability: float
    """Share of the interventions that the model supports under which it does, 0..1."""

    effect: float
    """How far the target's margin over the list's edge falls when the set is removed, in score units."""

    sufficient: bool
    """Whether the history of the causes alone, all else removed, still puts the target in its place."""

    rank_from_causes_alone: int
    """The target's rank then."""


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An edge of a PAG by its two ends; node n (the history's length) is the target."""

    source: int
    target: int
    mark_at_source: Mark
    mark_at_target: Mark
    support: float
    """Share of the graphs, over all heads and a grid of settings, in which the two are adjacent, 0..1."""

    support_of_marks: tuple[float, float]
    """Shares of the same graphs with this very mark at the source, and at the target."""


@dataclass(frozen=True, slots=True)
class HeadGraph:
    """The PAG that was learnt from one attention head."""

    head: int
    radius: int
    complete: bool
    tests: int
    """Independence tests."""

    cutoff: float
    """Absolute correlation below which two tokens count as independent: what alpha means at this sample size."""

    stopped: Stop
    """Why the search for separating sets ended."""

    ambiguous: int
    """Unshielded triples whose middle is in exactly half of the separating sets: neither collider nor non-collider."""

    contested: int
    """Edge ends that the rules wanted to be both arrowhead and tail; such ends stay circles."""

    legal: bool | None
    """Whether the marks are those of a Markov equivalence class of maximal ancestral graphs; None if not checked."""

    edges: tuple[GraphEdge, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the explanation cost."""

    rows_scored: int
    recommend_ms: float
    graph_ms: float
    search_ms: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the target was recommended, as checked on the model."""

    status: Status
    model_version: str
    history: tuple[str, ...]
    """The item tokens that the model saw, oldest first."""

    titles: tuple[str, ...]
    """Their titles as they were then, empty where there was none."""

    target: RankedItem
    causes: tuple[Cause, ...]
    effects: tuple[Effect, ...]
    """What removing each position alone does, by position; empty when the budget ended before it was known, and for a
    history of one item, which is never removed whole."""

    counterfactual: Counterfactual | None
    alternatives: tuple[tuple[int, ...], ...]
    """Other sets of positions of the same size that explain, best first, at most 16 of them."""

    common: tuple[int, ...]
    """Positions that every set found of this size has; empty without a set."""

    robustness: Robustness | None
    """None without a set."""

    standing: Standing | None
    """Why no set was found; None with a set, and when the budget ended first."""

    holds_when_deleted: bool | None
    """Whether the same set also moves the target under DELETE_BACKFILL; None without a set."""

    position_sensitive: bool
    """Whether the target already moves when every position shifts by one and nothing is removed."""

    certificate: Certificate
    graphs: tuple[HeadGraph, ...]
    settings: Settings
    cost: Cost
    reason: str
    """What a person may be told. Plain text."""

    reason_withheld: bool
    """Whether a set was found, but its evidence stays below the floors, so that the reason is a neutral one."""

    digests: tuple[tuple[str, str], ...]
    """Name and SHA-256 (hex) of what a replay must reproduce: inputs and attention."""

"""Partial ancestral graphs as two end marks per edge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Mark(IntEnum):
    """The mark at one end of an edge; the numbers are those of pcalg's ``amat.pag``."""

    NONE = 0
    CIRCLE = 1
    ARROWHEAD = 2
    TAIL = 3


class Stop(Enum):
    """Why the search for separating sets ended."""

    COMPLETE = "COMPLETE"
    """No legal conditioning set was left to try."""

    MAX_RADIUS = "MAX_RADIUS"
    """The radius limit was reached and larger legal sets exist."""

    SAMPLE_SIZE = "SAMPLE_SIZE"
    """Larger legal sets exist, but Fisher's test has no degrees of freedom left for them."""

    TEST_BUDGET = "TEST_BUDGET"
    """The next radius would have needed more tests than allowed."""

    TIME_BUDGET = "TIME_BUDGET"
    """Time was up. The only reason that depends on the machine and not on the input."""

    CANCELLED = "CANCELLED"
    """The caller's flag was set."""


@dataclass(frozen=True, slots=True, eq=False)
class Pag:
    """A partial ancestral graph over n nodes, and how sure one may be of it.

    ``marks[i, j]`` is the mark at j on the edge i *-* j, so i --> j reads marks[i, j] = ARROWHEAD and
    marks[j, i] = TAIL.
    """

    marks: NDArray[np.int8]
    """(n, n) int8, values of Mark."""

    radius: int
    """Largest finished ICD radius; -1 when not even the marginal tests were finished (all edges, all circles)."""

    complete: bool
    """Whether no legal conditioning set of a larger size was left to try."""

    stopped: Stop = Stop.COMPLETE
    """Why the search ended; COMPLETE exactly when ``complete``."""

    tests: int = 0
    """Independence tests of the finished radii."""

    cutoff: float = 0.0
    """Two tokens count as independent where the absolute correlation is below this: what alpha means at this sample
    size with nothing held fixed. It rises slowly with the size of the conditioning set."""

    ambiguous: int = 0
    """Unshielded triples whose middle is in exactly half of the separating sets: neither collider nor non-collider."""

    contested: int = 0
    """Edge ends that the orientation rules wanted to be both arrowhead and tail; such an end stays a circle."""

    legal: bool | None = None
    """Whether the marks are those of the Markov equivalence class of some maximal ancestral graph; None if not checked.
    On finite data independence decisions can contradict one another, and then no such graph exists."""

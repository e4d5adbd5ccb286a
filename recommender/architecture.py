"""The shape of a model, and what tells one RecBole layout from another: numbers and names only, no weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final


class Model(Enum):
    """The RecBole models that are served."""

    BERT4REC = "BERT4Rec"
    """Bidirectional; the next item is what stands at a [MASK] after the history (Sun et al., CIKM 2019)."""

    SASREC = "SASRec"
    """Causal; the next item is read at the last one (Kang & McAuley, ICDM 2018)."""


class Head(Enum):
    """How the deepest layer's output becomes scores."""

    PLAIN = "PLAIN"
    """Dot product with the item embeddings: SASRec, and BERT4Rec up to RecBole 1.1.1."""

    TRANSFORMED = "TRANSFORMED"
    """Linear, GELU and LayerNorm first, an item bias after: BERT4Rec since RecBole 1.2.0."""


ACTIVATIONS: Final = ("gelu", "relu", "swish", "tanh", "sigmoid")
"""RecBole's names of feed-forward activations."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything about a model besides its weights."""

    model: Model
    head: Head
    layers: int
    heads: int
    hidden_size: int
    inner_size: int
    activation: str
    layer_norm_eps: float
    positions: int
    """Rows of the position embedding."""

    max_list: int
    """RecBole's MAX_ITEM_LIST_LENGTH: the longest item list that its own evaluation feeds."""

    items: int
    """Items with the padding item, which is number 0; BERT4Rec's [MASK] is number ``items``."""

    @property
    def max_history(self) -> int:
        """Most items that fit before the mask (BERT4Rec) or before the target of an abductive pass (SASRec)."""
        return self.positions - 1

    @property
    def causal(self) -> bool:
        """Whether an item attends only to itself and earlier ones."""
        return self.model is Model.SASREC

    @property
    def drops_oldest(self) -> bool:
        """Whether RecBole's own inference never shows this model the oldest item of its list.

        True for BERT4Rec since 1.2.0: ``reconstruct_test_data`` appends the mask and then cuts the first position,
        even of lists that are far shorter than the window.
        """
        return self.model is Model.BERT4REC and self.head is Head.TRANSFORMED

    @property
    def embedding_rows(self) -> int:
        """Rows of the item embedding: BERT4Rec has one more, for [MASK]."""
        return self.items + (self.model is Model.BERT4REC)

    def schema(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, by RecBole's names."""
        hidden, inner = self.hidden_size, self.inner_size
        shapes: dict[str, tuple[int, ...]] = {
            "item_embedding.weight": (self.embedding_rows, hidden),
            "position_embedding.weight": (self.positions, hidden),
            "LayerNorm.weight": (hidden,),
            "LayerNorm.bias": (hidden,),
        }
        for layer in range(self.layers):
            attention = f"trm_encoder.layer.{layer}.multi_head_attention"
            forward = f"trm_encoder.layer.{layer}.feed_forward"
            for name in ("query", "key", "value", "dense"):
                shapes |= {f"{attention}.{name}.weight": (hidden, hidden), f"{attention}.{name}.bias": (hidden,)}
            shapes |= {f"{forward}.dense_1.weight": (inner, hidden), f"{forward}.dense_1.bias": (inner,)}
            shapes |= {f"{forward}.dense_2.weight": (hidden, inner), f"{forward}.dense_2.bias": (hidden,)}
            for block in (attention, forward):
                shapes |= {f"{block}.LayerNorm.weight": (hidden,), f"{block}.LayerNorm.bias": (hidden,)}
        if self.head is Head.TRANSFORMED:
            shapes |= {"output_ffn.weight": (hidden, hidden), "output_ffn.bias": (hidden,)}
            shapes |= {"output_ln.weight": (hidden,), "output_ln.bias": (hidden,), "output_bias": (self.items,)}
        return shapes

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a bundle's manifest holds them."""
        return asdict(self) | {"model": self.model.value, "head": self.head.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Architecture:
        """The architecture of a manifest.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        return cls(**(values | {"model": Model(values["model"]), "head": Head(values["head"])}))

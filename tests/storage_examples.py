"""Explanations to store: one plain example to vary, and Hypothesis strategies that follow the dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from uuid import UUID

from hypothesis import strategies as st

import storage
from explainer.explanation import Cause, Explanation, RankedItem, Status
from explainer.settings import Settings

if typing.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

TEXT = st.text(max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**31)

Leaves = dict[typing.Any, st.SearchStrategy[typing.Any]]
_LEAVES: Leaves = {str: TEXT, int: COUNTS, float: FINITE, bool: st.booleans(), types.NoneType: st.none()}
# Settings check themselves.
_LEAVES_OF: dict[type, Leaves] = {
    Settings: {**_LEAVES, int: st.integers(100, 2**31), float: st.floats(0, 1, exclude_min=True, exclude_max=True)},
}


def values(kind: typing.Any, leaves: Leaves = _LEAVES) -> st.SearchStrategy[typing.Any]:
    """Any value of an annotated type: a frozen dataclass, a tuple, an optional, an enum or a plain value."""
    if kind in leaves:
        return leaves[kind]
    if dataclasses.is_dataclass(kind):
        return _instances(typing.cast("type", kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if typing.get_origin(kind) not in (tuple, types.UnionType, typing.Union):
        raise TypeError(f"no strategy for {kind}: teach it to tests/storage_examples.py")
    arguments = typing.get_args(kind)
    if arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0], leaves), max_size=3).map(tuple)
    parts = [values(argument, leaves) for argument in arguments]
    return st.tuples(*parts) if typing.get_origin(kind) is tuple else st.one_of(*parts)


def _instances(kind: type) -> st.SearchStrategy[typing.Any]:
    leaves = _LEAVES_OF.get(kind, _LEAVES)
    hints = typing.get_type_hints(kind)
    return st.builds(
        kind, **{field.name: values(hints[field.name], leaves) for field in dataclasses.fields(kind) if field.init}
    )


def record_ids() -> st.SearchStrategy[UUID]:
    """UUIDv7s of any time."""
    return st.integers(0, 2**128 - 1).map(lambda bits: UUID(int=bits & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62))


@st.composite
def records(draw: st.DrawFn) -> storage.ExplanationRecord:
    """Any record at all."""
    return storage.ExplanationRecord(
        id=draw(record_ids()),
        user_id=draw(TEXT),
        explanation=draw(values(Explanation)),
        older_history=draw(values(tuple[str, ...])),
        unknown_items=draw(values(tuple[str, ...])),
    )


def plain(kind: typing.Any) -> typing.Any:
    """The plainest value of an annotated type; defaults stay."""
    scalars: dict[typing.Any, object] = {str: "text", int: 1, float: 0.5, bool: True, types.NoneType: None}
    if kind in scalars:
        return scalars[kind]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        needed = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
        return typing.cast("type", kind)(**{name: plain(hints[name]) for name in needed})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return () if arguments[-1] is Ellipsis else tuple(plain(argument) for argument in arguments)
    return None if types.NoneType in arguments else plain(arguments[0])


def record(
    *,
    user_id: str = "42",
    target_item: str = "50",
    model_version: str = "sha256:1",
    status: Status = Status.EXPLAINED,
    cause_items: Sequence[str] = ("172",),
    create_time: datetime | None = None,
    record_id: UUID | None = None,
) -> storage.ExplanationRecord:
    """A record with the values that lists are filtered by; everything else is plain."""
    made = storage.ExplanationRecord.new(
        user_id=user_id,
        create_time=create_time,
        explanation=dataclasses.replace(
            plain(Explanation),
            model_version=model_version,
            status=status,
            target=dataclasses.replace(plain(RankedItem), item=target_item),
            causes=tuple(
                dataclasses.replace(plain(Cause), item=item, position=position)
                for position, item in enumerate(cause_items)
            ),
        ),
    )
    return made if record_id is None else dataclasses.replace(made, id=record_id)

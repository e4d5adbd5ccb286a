"""Reads a pickle as symbols: a hostile file can be parsed, because nothing that it names is ever looked up or called.

The pickle language is a stack machine whose danger lies in a few opcodes: they resolve a global by name, call it, and
set state on what it returned. Here a global becomes a `Global` (two strings), a call a `Call` (the global and its
arguments, unevaluated), state is kept beside the call, and a tensor's storage becomes a `Persistent` reference. Only
the opcodes that RecBole's files use are understood, and only globals from an exact list may be named at all, so that a
file that holds anything else is refused instead of half read.

Memory is bounded by the size of the file: every opcode makes at most one object, and sizes that the file claims are
never allocated ahead of the bytes.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from recommender.errors import CorruptCheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_KEY: Final = 2**61 - 2
"""Greatest integer key of a dict: below the modulus of Python's integer hash, so that keys cannot be made to collide."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a pickle mentions, unresolved."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Call:
    """A call that a pickle asks for, not made."""

    function: Global
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    """What was set on the result by key, as for an OrderedDict."""


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """A reference to something that lies outside the pickle: a tensor's storage."""

    key: Any


class _Mark:
    """Where a run of stack entries begins."""


def read_pickle(content: bytes, allows: Callable[[str, str], bool]) -> Any:
    """The content's one object: plain values, lists, tuples and dicts, and `Call`, `Global`, `Persistent` symbols.

    Args:
        content: the pickle, protocols 2 to 4 (5 is not used by torch).
        allows: whether it may mention this module's name.

    Raises:
        CorruptCheckpointError: it is malformed, uses another opcode, or mentions another global.
    """
    machine = _Machine(allows)
    try:
        for opcode, argument, position in pickletools.genops(content):
            step = _STEPS.get(opcode.name)
            if step is None:
                raise CorruptCheckpointError(
                    f"The file's pickle uses {opcode.name} at byte {position}, which RecBole never writes; import only "
                    "checkpoints that RecBole saved."
                )
            step(machine, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise CorruptCheckpointError(
            "The file's pickle is malformed; save the checkpoint again or copy it again."
        ) from error
    return machine.result


class _Machine:
    """The pickle virtual machine, without the parts that act."""

    def __init__(self, allows: Callable[[str, str], bool]) -> None:
        self.allows = allows
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def pop(self) -> Any:
        """Topmost value; a mark is not a value."""
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise TypeError("a value was expected, not a mark")
        return value

    def top(self) -> Any:
        """Topmost value, left in place."""
        value = self.stack[-1]
        if isinstance(value, _Mark):
            raise TypeError("a value was expected, not a mark")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Values above the topmost mark, which goes too."""
        start = len(self.stack) - 1
        while not isinstance(self.stack[start], _Mark):
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def name(self, module: str, name: str) -> None:
        if not self.allows(module, name):
            raise CorruptCheckpointError(
                f"The file's pickle names {module[:80]}.{name[:80]}, which no RecBole checkpoint of a "
                "supported model needs; import only checkpoints that RecBole saved."
            )
        self.stack.append(Global(module, name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise ValueError("only a named function with a tuple of arguments may be called")
        self.stack.append(Call(function, arguments))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if type(target) is not Call:
            raise ValueError("state may only be set on the result of a call")
        target.state = state

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise ValueError("values may only be appended to a list")
        target.extend(values)

    def update(self, flat: list[Any]) -> None:
        target = self.top()
        items = target.items if type(target) is Call else target
        if type(items) is not dict or len(flat) % 2:
            raise ValueError("pairs may only be set on a dict")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if type(key) not in {str, int, Call} or (type(key) is int and not -LARGEST_KEY <= key <= LARGEST_KEY):
                raise ValueError("a key must be a string or a small whole number")
            items[key] = value

    def tuple_of(self, count: int) -> None:
        values = tuple(self.pop() for _ in range(count))[::-1]
        self.stack.append(values)


def _pairs(machine: _Machine, count: int) -> list[Any]:
    return [machine.pop() for _ in range(count)][::-1]


def _global_by_line(machine: _Machine, argument: Any) -> None:
    # pickletools joins the two lines with a space; a name that itself holds a space is in no allow-list.
    module, _, name = str(argument).partition(" ")
    machine.name(module, name)


def _global_by_stack(machine: _Machine, _argument: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("a global is named by two strings")
    machine.name(module, name)


def _nothing(_machine: _Machine, _argument: Any) -> None:
    pass


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _stop(machine: _Machine, _argument: Any) -> None:
    machine.result = machine.pop()
    if machine.stack:
        raise ValueError("values are left over")


def _persistent(machine: _Machine, _argument: Any) -> None:
    machine.stack.append(Persistent(machine.pop()))


_STEPS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "STOP": _stop,
    "MARK": lambda machine, _: machine.stack.append(_Mark()),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": _global_by_line,
    "STACK_GLOBAL": _global_by_stack,
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": _persistent,
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "BININT": _push,
    "BININT1": _push,
    "BININT2": _push,
    "LONG1": _push,
    "BINFLOAT": _push,
    "BINUNICODE": _push,
    "SHORT_BINUNICODE": _push,
    "BINBYTES": _push,
    "SHORT_BINBYTES": _push,
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.update(_pairs(machine, 2)),
    "SETITEMS": lambda machine, _: machine.update(machine.pop_to_mark()),
}

"""Logs for people or for machines. What users did stays out of them: an exception is logged by its type and its frames.

The text of an exception may quote a user id or an item, whoever wrote it. So it is withheld, be it the exception of a
trace or an argument of a message, unless its class is known to speak of the surroundings alone or `logs.payloads` is on.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from server.calls import current_call
from server.config import ConfigError
from storage import DatabaseUnavailableError, LogDamagedError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from server.outside_settings import Logs

HARMLESS: tuple[type[BaseException], ...] = (ConfigError, DatabaseUnavailableError, LogDamagedError, SchemaError)
"""Their texts name settings, databases and files, never what is stored."""

FIELDS = "becausal"
"""Attribute of a log record with fields of its own: ``logger.info("call", extra={FIELDS: {"code": "OK"}})``."""

FRAMES = 30
"""Most frames of one exception, the innermost."""


class SafeFormatter(logging.Formatter):
    """One event as named fields; subclasses write them."""

    def __init__(self, *, payloads: bool = False) -> None:
        super().__init__()
        self._payloads = payloads

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What is said of an event, in order."""
        call = current_call.get()
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._message(record),
        }
        if call.request_id:
            said["request_id"] = call.request_id
        said |= getattr(record, FIELDS, {})
        if record.exc_info and record.exc_info[1] is not None:
            said["exception"] = [self._exception(error) for error in _chain(record.exc_info[1])]
        return said

    def shown(self, error: BaseException) -> str:
        """An exception as part of a sentence."""
        if self._payloads or isinstance(error, HARMLESS):
            return str(error)
        return f"{_name(error)} (text withheld)"

    def _message(self, record: logging.LogRecord) -> str:
        text = str(record.msg)
        if isinstance(record.msg, BaseException):
            text = self.shown(record.msg)
        elif isinstance(record.args, tuple) and record.args:
            text = text % tuple(self.shown(one) if isinstance(one, BaseException) else one for one in record.args)
        elif record.args:
            text = record.getMessage()
        # asyncio repeats the exception of a task in the lines after the first.
        return text if self._payloads or record.name != "asyncio" else text.partition("\n")[0]

    def _exception(self, error: BaseException) -> dict[str, Any]:
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        told: dict[str, Any] = {"type": _name(error)}
        if self._payloads or isinstance(error, HARMLESS):
            told["text"] = str(error)
        return told | {"frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}


class JsonFormatter(SafeFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The event's fields."""
        return json.dumps(self.fields(record), ensure_ascii=False, default=str)


class TextFormatter(SafeFormatter):
    """A line for people, and under it the frames of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The event's fields, those without a name first."""
        said = self.fields(record)
        exceptions = said.pop("exception", [])
        line = f"{said.pop('time')} {said.pop('level')} {said.pop('logger')}: {said.pop('message')}"
        lines = [line + "".join(f" {name}={value}" for name, value in said.items() if value != "")]
        for told in exceptions:
            lines.append(f"  {told['type']}{': ' + told['text'] if 'text' in told else ''}")
            lines += [f"    {frame}" for frame in told["frames"]]
        return "\n".join(lines)


def configure(settings: Logs) -> None:
    """Log everything of this process to standard error, what ends a thread included."""
    kind = JsonFormatter if settings.format == "json" else TextFormatter
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(kind(payloads=settings.payloads))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    threading.excepthook = _thread_ended


def _thread_ended(end: threading.ExceptHookArgs) -> None:
    name = end.thread.name if end.thread is not None else "unknown"
    found: tuple[type[BaseException], BaseException, TracebackType | None] | None = (
        None if end.exc_value is None else (end.exc_type, end.exc_value, end.exc_traceback)
    )
    logging.getLogger(__name__).critical("The thread %s ended with a fault", name, exc_info=found)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, newest first."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

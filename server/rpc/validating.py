"""The rules that the protocol declares, by protovalidate: what breaks them is told field by field.

Only what is true of every server stands in the .proto files; limits that are settings are the application's to check
(server/checking.py), as is everything for callers that do not come by gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protovalidate import Validator

from becausal.v1 import audit_service_pb2, explanation_service_pb2, model_service_pb2
from server.errors import FieldProblem, InvalidFieldsError

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from protovalidate import Violation

_VALIDATOR = Validator()
"""Compiles the rules of each kind of message once. Safe in threads."""

FILES = (explanation_service_pb2, audit_service_pb2, model_service_pb2)


def check(message: Message) -> None:
    """Let a message pass that breaks no rule.

    Raises:
        InvalidFieldsError: it breaks some; all of them are told.
    """
    violations = _VALIDATOR.collect_violations(message)
    if violations:
        raise InvalidFieldsError(tuple(map(_problem, violations)))


def warm_up() -> None:
    """Compile the rules of every request, so that no caller waits for it.

    Raises:
        CompilationError: a rule of the protocol is wrong.
    """
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                _VALIDATOR.collect_violations(method.input_type._concrete_class())  # noqa: SLF001 - protobuf's only way


def _problem(violation: Violation) -> FieldProblem:
    found: Any = violation.proto
    field = "".join(_step(element) for element in found.field.elements).removeprefix(".")
    # A rule's own message is a sentence; those of standard rules are the end of one.
    sentence = found.message if found.message.endswith(".") else f"{field} {found.message}."
    return FieldProblem(field, sentence)


def _step(element: Any) -> str:
    """A field of a path as google.rpc.BadRequest writes it: `.name`, with its place in a list."""
    place = element.subscript
    return f".{element.field_name}" + ("" if place is None else f"[{place.value}]")

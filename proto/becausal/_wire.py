"""The few messages of google.rpc and grpc.health that a client reads, in a descriptor pool of their own.

They have the field numbers of the originals and other names, so they decode the same bytes and never meet the originals in
protobuf's global pool, whatever packages stand beside this one (docs/decisions/0701-errors-without-googleapis.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from collections.abc import Mapping

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "becausal.wire"
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "Status": {"code": (1, "int32"), "message": (2, "string"), "details": (3, "repeated Any")},
    "Pair": {"key": (1, "string"), "value": (2, "string")},
    "ErrorInfo": {"reason": (1, "string"), "domain": (2, "string"), "metadata": (3, "repeated Pair")},
    "FieldViolation": {"field": (1, "string"), "description": (2, "string")},
    "BadRequest": {"field_violations": (1, "repeated FieldViolation")},
    "Duration": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "RetryInfo": {"retry_delay": (1, "Duration")},
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "int32")},
}
"""Field numbers and types; a map is a repeated pair and an enum a number, as on the wire."""


def _field(name: str, number: int, kind: str) -> _Field:
    label = _Field.LABEL_REPEATED if kind.startswith("repeated ") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("repeated ")
    if kind in _SCALARS:
        return _Field(name=name, number=number, label=label, type=_SCALARS[kind])
    return _Field(name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{kind}")


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="becausal/wire.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        file.message_type.add(
            name=message, field=[_field(name, number, kind) for name, (number, kind) in fields.items()]
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Status = _message("Status")
ErrorInfo = _message("ErrorInfo")
BadRequest = _message("BadRequest")
RetryInfo = _message("RetryInfo")
HealthCheckRequest = _message("HealthCheckRequest")
HealthCheckResponse = _message("HealthCheckResponse")

"""Which role each call needs: one table. A call that is not in it is refused to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.access import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPLANATION = "/becausal.v1.ExplanationService/"
_AUDIT = "/becausal.v1.AuditService/"
_MODEL = "/becausal.v1.ModelService/"

ROLES: Mapping[str, Role] = {
    _EXPLANATION + "Recommend": Role.EXPLAIN,
    _EXPLANATION + "Explain": Role.EXPLAIN,
    _EXPLANATION + "RecommendAndExplain": Role.EXPLAIN,
    _EXPLANATION + "BatchExplain": Role.EXPLAIN,
    _EXPLANATION + "StreamExplain": Role.EXPLAIN,
    _EXPLANATION + "WhatIf": Role.EXPLAIN,
    _EXPLANATION + "RecordInteractions": Role.EXPLAIN,
    _EXPLANATION + "GetExplanation": Role.AUDIT_READ,
    _EXPLANATION + "ListExplanations": Role.AUDIT_READ,
    _EXPLANATION + "ReplayExplanation": Role.AUDIT_READ,
    _EXPLANATION + "EraseUser": Role.AUDIT_ERASE,
    _AUDIT + "GetCheckpoint": Role.AUDIT_READ,
    _AUDIT + "GetInclusionProof": Role.AUDIT_READ,
    _AUDIT + "GetConsistencyProof": Role.AUDIT_READ,
    _MODEL + "ListModels": Role.ADMIN,
    _MODEL + "GetModel": Role.ADMIN,
    _MODEL + "ActivateModel": Role.ADMIN,
}

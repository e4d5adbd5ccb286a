"""AuditService: checkpoints and proofs of the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from becausal.v1 import audit_service_pb2 as pb
from becausal.v1.audit_service_pb2_grpc import AuditServiceServicer
from server.rpc.keeping_calls import run
from server.rpc.messages import id_from

if TYPE_CHECKING:
    import grpc

    from server.application import Application
    from storage import LogState

    Context = grpc.aio.ServicerContext[Any, Any]


class AuditService(AuditServiceServicer):
    """Proves what one application keeps, on a thread of its own."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proofs")

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.Checkpoint:  # noqa: ARG002, N802
        """Give the newest signed checkpoint."""
        return checkpoint_message(await run(self._thread, self._application.keeping.checkpoint))

    async def GetInclusionProof(  # noqa: N802
        self,
        request: pb.GetInclusionProofRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.InclusionProof:
        """Prove that a record is in the log."""
        entry_id = id_from(request.name)
        proof = await run(self._thread, lambda: self._application.keeping.inclusion(entry_id))
        return pb.InclusionProof(
            id=str(proof.entry_id),
            kind=proof.kind,
            commitment=proof.commitment,
            index=proof.index,
            hashes=proof.proof,
            checkpoint=checkpoint_message(proof.state),
        )

    async def GetConsistencyProof(  # noqa: N802
        self,
        request: pb.GetConsistencyProofRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.ConsistencyProof:
        """Prove that the log only grew."""
        new_size = request.new_size if request.HasField("new_size") else None
        proof = await run(self._thread, lambda: self._application.keeping.consistency(request.old_size, new_size))
        return pb.ConsistencyProof(old_size=proof.old_size, new_size=proof.new_size, hashes=proof.proof)

    def close(self) -> None:
        """Wait for what the thread is doing, then let it go."""
        self._thread.shutdown()


def checkpoint_message(state: LogState) -> pb.Checkpoint:
    """A signed state."""
    return pb.Checkpoint(note=state.note or "", size=state.size, root=state.root)

"""ModelService: the models at hand, and which one answers."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from becausal.v1 import model_service_pb2 as pb
from becausal.v1.model_service_pb2_grpc import ModelServiceServicer
from server.bundles import PREFIX
from server.errors import InvalidFieldError
from server.rpc.keeping_calls import actor_of, run

if TYPE_CHECKING:
    import grpc

    from server.activation import Activations
    from server.model_list import ModelInfo, ModelPage

    Context = grpc.aio.ServicerContext[Any, Any]

NAME_PREFIX = "models/"
THREADS = 4
"""One activates; the others list meanwhile, or say that it does."""

_NAME = re.compile(NAME_PREFIX + r"[0-9a-f]{64}")


class ModelService(ModelServiceServicer):
    """Serves the models of one process."""

    def __init__(self, activations: Activations) -> None:
        self._activations = activations
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="activation")

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002, N802
        """List the models at hand."""
        return page_message(
            await run(self._threads, lambda: self._activations.list(request.page_size, request.page_token))
        )

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:  # noqa: ARG002, N802
        """Give one of them."""
        version = version_from(request.name)
        return model_message(await run(self._threads, lambda: self._activations.get(version)))

    async def ActivateModel(self, request: pb.ActivateModelRequest, context: Context) -> pb.Model:  # noqa: N802
        """Have a model answer from now on."""
        version, actor, gone = version_from(request.name), actor_of(context), threading.Event()
        try:
            info = await run(
                self._threads,
                lambda: self._activations.activate(
                    version, actor=actor, cancelled=gone.is_set, validate_only=request.validate_only
                ),
            )
        finally:
            # A cancelled call leaves its thread running: until the decision is stored, the flag ends it.
            gone.set()
        return model_message(info)

    def start(self) -> None:
        """Follow what is decided at other instances."""
        self._activations.start()

    def close(self) -> None:
        """Wait for what the threads are doing, then let them go."""
        self._threads.shutdown()
        self._activations.close()


def version_from(name: str) -> str:
    """The version of a model's name.

    Raises:
        InvalidFieldError: it is no such name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidFieldError("name", 'name is no model\'s; give "models/{digest}", as ListModels has it.')
    return PREFIX + name.removeprefix(NAME_PREFIX)


def model_name(version: str) -> str:
    """The name of a model."""
    return NAME_PREFIX + version.removeprefix(PREFIX)


def model_message(info: ModelInfo) -> pb.Model:
    """One model."""
    message = pb.Model(
        name=model_name(info.version),
        version=info.version,
        state=pb.Model.State.Value(info.state.value),
        architecture=info.architecture,
        dataset=info.dataset,
        items=info.items,
        max_history=info.max_history,
        size_bytes=info.size_bytes,
        figures=[
            pb.Model.Figure(metric=figure.metric, trained=figure.trained, imported=figure.imported)
            for figure in info.figures
        ],
    )
    if info.create_time is not None:
        message.create_time.FromDatetime(info.create_time)
    return message


def page_message(page: ModelPage) -> pb.ListModelsResponse:
    """A page of models."""
    return pb.ListModelsResponse(
        models=[model_message(info) for info in page.models], next_page_token=page.next_page_token
    )

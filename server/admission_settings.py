"""Settings of how many calls are answered at once and how many may wait; part of server/config.py."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Room(BaseModel):
    """Room for calls of one method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    running: int = Field(ge=1, description="Most calls of the method that are answered at once.")
    waiting: int = Field(ge=0, description="Most that may wait for their turn; those after them are refused.")


class Admission(BaseModel):
    """How many calls are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    running: int = Field(default=32, ge=1, description="Most calls of one method that are answered at once.")
    waiting: int = Field(
        default=128,
        ge=0,
        description="Most calls of one method that wait for their turn, first come first served; those after them are "
        "refused with RESOURCE_EXHAUSTED and the time after which to come back.",
    )
    methods: dict[str, Room] = Field(
        default={},
        description="Other numbers for some methods, such as `Explain = { running = 16, waiting = 64 }`. "
        "In the environment: JSON.",
    )

    def room(self, method: str) -> Room:
        """The room that a method has."""
        return self.methods.get(method, Room(running=self.running, waiting=self.waiting))

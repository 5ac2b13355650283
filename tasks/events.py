"""Events about batches: what they are about, their ids, and that they have left this process."""

from __future__ import annotations

import uuid

from prefect.events.worker import EventsWorker

from cvgl.arrival.batches import Batch

DELIVERY_SECONDS = 10.0
_NAMESPACE = uuid.UUID("6b1c1a3e-5a0e-5c37-9b0f-3a1f6f1f2a61")


def resource_of(batch: Batch) -> dict[str, str]:
    """What an event about a batch is about: its map, and the batch as a label."""
    return {
        "prefect.resource.id": f"cvgl.map.{batch.dataset}",
        "prefect.resource.name": batch.dataset,
        "cvgl.batch": batch.batch,
    }


def event_id(batch: Batch, purpose: str = "") -> uuid.UUID:
    """One id for one thing that is told of a batch, however often it is sent."""
    name = f"{batch.source}/{batch.dataset}/{batch.batch}"
    return uuid.uuid5(_NAMESPACE, f"{name}/{purpose}" if purpose else name)


def deliver() -> None:
    """Waits until what was emitted has left this process."""
    EventsWorker.drain_all(timeout=DELIVERY_SECONDS, at_exit=False)

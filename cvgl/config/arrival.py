"""New imagery that arrives: how it is noticed, when it is adapted to, and how much of it is worked on at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, JsonValue, field_serializer, model_validator

from cvgl.config.run import RunConfig
from cvgl.config.settings import Settings
from cvgl.masking import masked_options


class Forget(StrEnum):
    """Whose images leave the map when their files are deleted from the source."""

    REFERENCES = "references"
    NONE = "none"


class WatchConfig(Settings):
    """When a file is complete, and when the files that wait become a batch."""

    quiet_seconds: float | None = Field(
        60.0, ge=0, description="a batch closes when nothing of it has changed for so long; none: only a marker closes it"
    )
    longest_wait_seconds: float = Field(
        3600.0, gt=0, description="after so long, the files that are complete become a batch although others keep changing"
    )
    marker: str | None = Field(
        "_DONE",
        min_length=1,
        description="name of the file by which a sender says that its folder is complete; none: no marker",
    )
    temporary_suffixes: tuple[str, ...] = Field(
        (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".uploading", ".swp", "~"),
        description="endings of names under which programs write what is not complete yet",
    )
    poll_seconds: float = Field(10.0, gt=0, le=86_400, description="between two looks at the source (`cvgl watch`)")
    forget: Forget = Field(Forget.REFERENCES, description="whose images leave the map when their files are deleted")
    largest_loss: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the known files that may be deleted at once; when more are missing (a disk that is not mounted), "
        "nothing counts as deleted",
    )
    storage_options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="of the remote file system (fsspec), such as endpoint_url; a secret as env:NAME (a variable of the "
        "environment) or secret:NAME (one of Prefect's Secret blocks)",
        repr=False,
    )

    @field_serializer("storage_options", when_used="json")
    def _without_secrets(self, options: dict[str, Any]) -> dict[str, Any]:
        return masked_options(options)  # what is written as JSON is stored or shown

    @model_validator(mode="after")
    def _closes_somehow(self) -> Self:
        if self.quiet_seconds is None and self.marker is None:
            raise ValueError("quiet_seconds and marker are both none: no batch would ever close")
        if self.marker is not None and ("/" in self.marker or self.marker.startswith(".")):
            raise ValueError("marker is the name of a file, without a folder, and not hidden")
        return self


class DecideConfig(Settings):
    """The policy: what arrives is adapted to, left, or put before a person."""

    minimum_new: int = Field(20, ge=0, description="new training images of a view below which a batch is left as it is")
    significance: float = Field(0.01, gt=0, lt=1, description="p-value below which a difference of the views counts")
    adapt_effect: float = Field(
        0.01,
        ge=0,
        le=1,
        description="normalised energy distance (0: same, 1: disjoint) from which the champion is adapted anew",
    )
    ask_effect: float = Field(0.3, ge=0, le=1, description="the same, from which a person is asked: another camera, or no map")
    quality_drop: float = Field(
        0.35,
        ge=0,
        le=1,
        description="loss of R@1 as it is predicted without labels, as a share of the prediction for what the champion has "
        "learned from, from which it is adapted anew",
    )
    growth: float = Field(
        0.5, gt=0, description="new training images, as a share of those that the champion learned from, that are adapted to"
    )
    samples: int = Field(400, ge=10, le=5000, description="images of each side that a test compares at most")
    permutations: int = Field(499, ge=99, le=100_000, description="of the test; the smallest p-value is 1 / (1 + permutations)")
    seed: int = Field(0, ge=0, lt=2**31, description="of the permutations")
    longest_hours: float | None = Field(
        None, gt=0, description="ask a person before an adaptation that is predicted to take longer"
    )
    largest_gigabytes: float | None = Field(
        None, gt=0, description="ask a person before one that is predicted to need more memory"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ask_effect < self.adapt_effect:
            raise ValueError("ask_effect lies below adapt_effect, so nothing would ever be adapted to")
        if self.significance < 1 / (1 + self.permutations):
            raise ValueError(
                f"with {self.permutations} permutations no p-value is below {1 / (1 + self.permutations):.2g}: "
                "raise permutations, or significance"
            )
        return self


class ArrivalConfig(RunConfig):
    """Everything about one watched source: a run's settings, applied to each batch that arrives.

    `ingest.source` is the watched folder, or the address of one (s3://, gs://, sftp://, ... as fsspec knows them).
    """

    watch: WatchConfig = Field(default_factory=WatchConfig)
    decide: DecideConfig = DecideConfig()
    parallel_extractions: int = Field(
        1, ge=1, le=64, description="maps of one lake whose images are described at the same time"
    )

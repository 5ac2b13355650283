"""One run of the whole pipeline."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.adapt import AdaptConfig
from cvgl.config.alignment import AlignConfig
from cvgl.config.evaluate import EvaluateConfig
from cvgl.config.extract import ExtractConfig
from cvgl.config.ingest import IngestConfig
from cvgl.config.register import RegisterConfig
from cvgl.config.settings import Settings


class RunConfig(Settings):
    """One run of the whole pipeline."""

    lake: str = Field(".cvgl", description="folder that holds everything")
    ingest: IngestConfig
    align: AlignConfig = AlignConfig()
    extract: ExtractConfig = ExtractConfig()
    # Made anew, so that a form that is filled in from the defaults holds none of one recipe under the name of another.
    adapt: AdaptConfig = Field(default_factory=AdaptConfig)
    evaluate: EvaluateConfig = EvaluateConfig()
    registry: RegisterConfig = RegisterConfig()

    @property
    def dataset(self) -> str:
        return self.ingest.dataset

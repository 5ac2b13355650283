"""What is measured."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.settings import Settings


class EvaluateConfig(Settings):
    """What is measured. Names of protocols: see `cvgl.retrieval.protocols`."""

    protocols: tuple[str, ...] = Field(("auto",), min_length=1, description="auto: what the dataset's layout is judged by")
    radii_m: tuple[float, ...] = Field((25.0, 50.0, 100.0), description="share of queries placed within these metres")
    top_k: int = Field(10, ge=1, le=1000, description="answers kept for each query")
    window: int = Field(
        20, ge=1, le=1000, description="pictures of a sequence that are placed together, ending with the one asked for"
    )

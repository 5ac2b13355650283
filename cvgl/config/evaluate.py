"""What is measured."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.settings import Settings


class RerankConfig(Settings):
    """Re-ranking by k-reciprocal neighbours; the defaults are those of Zhong et al. 2017."""

    enabled: bool = Field(
        False,
        description="also measure answers re-ranked by k-reciprocal neighbours; pays where a place has several images "
        "in the gallery",
    )
    neighbours: int = Field(
        20, ge=1, le=1000, description="k1 of the re-ranking: nearest references that reciprocal ones are looked for among"
    )
    expansion: int = Field(
        6, ge=1, le=1000, description="k2 of the re-ranking: neighbourhoods that are averaged, the picture's own among them"
    )
    original: float = Field(
        0.3, ge=0, le=1, description="lambda of the re-ranking: share of the original distance in the final one"
    )


class EvaluateConfig(Settings):
    """What is measured. Names of protocols: see `cvgl.retrieval.protocols`."""

    protocols: tuple[str, ...] = Field(("auto",), min_length=1, description="auto: what the dataset's layout is judged by")
    radii_m: tuple[float, ...] = Field((25.0, 50.0, 100.0), description="share of queries placed within these metres")
    top_k: int = Field(10, ge=1, le=1000, description="answers kept for each query")
    window: int = Field(
        20, ge=1, le=1000, description="images of a sequence that are placed together, ending with the one asked for"
    )
    rerank: RerankConfig = RerankConfig()

"""How descriptors are computed and stored."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.alignment import AlignmentConfig
from cvgl.config.backbone import BackboneConfig
from cvgl.config.compute import Device, Precision
from cvgl.config.settings import Settings


class ExtractConfig(Settings):
    """How descriptors are computed and stored."""

    backbone: BackboneConfig = BackboneConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    precision: Precision = Field(Precision.FLOAT32, description="of the forward pass; bfloat16 is slower on CPUs without AMX")
    half_storage: bool = Field(False, description="store float16 instead of float32")
    device: Device = Field(Device.AUTO, description="where the model runs; auto takes a GPU when there is one")
    batch_size: int = Field(32, ge=1, le=4096, description="images a forward pass; halved when memory runs out")
    workers: int = Field(2, ge=1, le=64, description="threads that decode while the model runs")
    part_rows: int = Field(256, ge=1, description="rows of a Parquet part: what a killed process loses at most")

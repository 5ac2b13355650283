from .api import learn
from .correction import HubnessCorrected
from .record import AdapterRecord, IterationMetrics, Origin, TrainingRows
from .sequences import FrameSequences
from .standardise import DescriptorTransform, frozen
from .transforms import Adaptation, read_record

__all__ = [
    "Adaptation",
    "AdapterRecord",
    "DescriptorTransform",
    "FrameSequences",
    "HubnessCorrected",
    "IterationMetrics",
    "Origin",
    "TrainingRows",
    "frozen",
    "learn",
    "read_record",
]

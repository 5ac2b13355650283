from .adaptation import Adaptation
from .errors import CvglError
from .retrieval import evaluate
from .stages.learning import adapt

__version__: str

__all__ = ["Adaptation", "CvglError", "__version__", "adapt", "evaluate"]

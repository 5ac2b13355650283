from .adaptation import Adaptation as Adaptation
from .errors import CvglError as CvglError
from .retrieval import evaluate as evaluate
from .stages.learning import adapt as adapt

__version__: str

from .answers import write_answers
from .blocks import BlockedDescriptors
from .comparison import Comparability, comparable, convert
from .evaluation import Evaluation, evaluate, evaluate_scores
from .protocols import Protocol
from .search import Neighbours, top_k

__all__ = [
    "BlockedDescriptors",
    "Comparability",
    "Evaluation",
    "Neighbours",
    "Protocol",
    "comparable",
    "convert",
    "evaluate",
    "evaluate_scores",
    "top_k",
    "write_answers",
]

"""cvgl tells where an image was taken, and learns to do so from unlabelled imagery alone.

    from cvgl import adapt, evaluate

Importing the package costs nothing: the names in `__init__.pyi` are loaded on first use (PEP 562).
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.2.0"

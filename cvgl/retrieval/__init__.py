"""Searching a gallery and measuring how well it answers.

Names are loaded on use, so that reading the list of protocols does not import torch.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

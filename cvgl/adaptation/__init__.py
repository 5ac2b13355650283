"""Learning from unlabelled descriptors: adapter, losses, E-step, the EM loop, and the baselines.

    from cvgl.adaptation import learn
    adaptation = learn(query_features, reference_features, AdaptConfig(recipe="robust"))

`cvgl.adapt` is the same with a choice of the recipe. Nothing here takes a label. Names are loaded on first use, so importing
the package does not load torch.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

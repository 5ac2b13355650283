"""The code that MLflow stores with every adapter and runs when the model is loaded ("models from code").

It stands on its own: it needs the cvgl library and the logged adapter files, nothing of `tasks`, and no pickle.
"""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel

from cvgl.errors import ModelError

SIDES = ("query", "reference")


class AdapterModel(PythonModel):  # type: ignore[misc]  # MLflow has no type information
    """Maps frozen descriptors to adapted ones.

    Input: float32 (n, d0), as an array or a data frame with d0 columns. Output: float32 (n, d), unit rows.
    `params={"side": "query"}` (the default) is for drone and street pictures, `{"side": "reference"}` for satellite tiles.
    """

    # MLflow looks for the argument's name.
    def load_context(self, context: Any) -> None:
        """Reads the adapter that was logged with the model."""
        from cvgl.adaptation import Adaptation

        self._adaptation = Adaptation.load(context.artifacts["adapter"])

    # MLflow reads the hint: the bare array is one of the few that it takes without deriving a schema of its own.
    def predict(
        self,
        context: Any,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Adapts descriptors.

        Raises:
            ModelError: an unknown side.
        """
        side = (params or {}).get("side", "query")
        if side not in SIDES:
            raise ModelError(f"'{side}' is no side of an adapter", where="params['side']", fix="give 'query' or 'reference'")
        descriptors = np.ascontiguousarray(np.asarray(model_input), dtype=np.float32)
        transform = self._adaptation.transform_query if side == "query" else self._adaptation.transform_reference
        return transform(descriptors)


mlflow.models.set_model(AdapterModel())

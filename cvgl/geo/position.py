"""A position on the ground: degrees of WGS 84, x and y in a CRS, or both."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from cvgl.errors import DataError
from cvgl.geo.datum import to_geographic
from cvgl.geo.frames import is_local


class Position(BaseModel):
    """Degrees (WGS 84), or x east and y north in a CRS, or both; all None where the map does not say.

    Attributes:
        latitude: degrees.
        longitude: degrees.
        x: east, in the unit of the CRS.
        y: north, in the unit of the CRS.
        crs: of x and y.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latitude: float | None = None
    longitude: float | None = None
    x: float | None = None
    y: float | None = None
    crs: str | None = None

    def degrees(self) -> tuple[float, float] | None:
        """Latitude and longitude (WGS 84), converted where there is a CRS; None where there are none, see `degrees_problem`."""
        if self.latitude is not None and self.longitude is not None:
            return self.latitude, self.longitude
        if self.x is None or self.y is None or self.crs is None or is_local(self.crs):
            return None
        try:
            latitude, longitude = to_geographic(self.x, self.y, self.crs)
        except DataError:
            return None
        return (float(latitude), float(longitude)) if np.isfinite([latitude, longitude]).all() else None

    def degrees_problem(self) -> str | None:
        """The reason why a position in a CRS has no latitude and longitude; None where it has them, or no position is known.

        x and y remain valid without them: a datum without a known shift to WGS 84 takes nothing from them.
        """
        if self.x is None or self.y is None or self.crs is None or is_local(self.crs) or self.degrees() is not None:
            return None
        try:
            to_geographic(self.x, self.y, self.crs)
        except DataError as error:
            return f"{error.what}; {error.fix}"
        return f"x {self.x:g}, y {self.y:g} is no place of {self.crs}"

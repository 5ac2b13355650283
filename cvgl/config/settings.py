"""What every group of settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from cvgl.hashing import digest_json


class Settings(BaseModel):
    """Base: immutable, and a misspelt field is an error rather than a setting that does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def digest(self) -> str:
        """Hash of all fields; equal settings have equal digests."""
        return digest_json(self.model_dump(mode="json"))

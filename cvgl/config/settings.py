"""What every group of settings has in common."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cvgl.hashing import digest_json
from cvgl.masking import masked


def _title(name: str, _: Any) -> str:
    """A field's name as people write it. Generated, since a field that is another group or a choice has none otherwise."""
    return name.replace("_", " ").capitalize()


# An address: what is written as JSON, and so stored or shown, holds no password, signature or token of it.
StoredMasked = Annotated[str, PlainSerializer(masked, return_type=str, when_used="json")]


class Settings(BaseModel):
    """Base: immutable, and a misspelt field is an error rather than a setting that does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, field_title_generator=_title)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema that a form is drawn from. It tells defaults in words, and has none to fill in.

        A default that a form fills in comes back as a setting that was given. But what is left open means more than its
        default: the recipe, a preset of frozen models or the choice of an alignment decides it then. So a form that was only
        looked at would contradict the recipe that is chosen in it, or silently switch the choice of an alignment off.
        """
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
            default = field.pop("default", None)
            if default is not None and field.get("type") == "boolean":  # a switch is on or off; a choice can be left open
                field.pop("type")
                field["enum"] = [True, False]
            description = field.get("description", "")
            if default is not None and not isinstance(default, dict) and "default:" not in description:
                field["description"] = f"{description} (default: {_shown(default)})".lstrip()
        return schema

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, masked(value) if isinstance(value, str) else value) for name, value in super().__repr_args__()]

    def digest(self) -> str:
        """Hash of all fields; equal settings have equal digests."""
        return digest_json(self.model_dump(mode="json"))


def _shown(default: Any) -> str:
    if isinstance(default, list | tuple):
        return ", ".join(map(_shown, default)) or "none"
    return default if isinstance(default, str) else json.dumps(default)

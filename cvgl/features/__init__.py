"""Descriptors: how images become them, and where they are kept."""

from __future__ import annotations

from cvgl.features.embedding import embed_images
from cvgl.features.fingerprints import fingerprint
from cvgl.features.store import FeatureStore
from cvgl.features.streaming import FeatureReader, StoredDescriptors

__all__ = ["FeatureReader", "FeatureStore", "StoredDescriptors", "embed_images", "fingerprint"]

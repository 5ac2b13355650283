"""Descriptors: how images become them, and where they are kept."""

from __future__ import annotations

from cvgl.features.description import describe
from cvgl.features.fingerprints import fingerprint
from cvgl.features.store import FeatureStore
from cvgl.features.streaming import FeatureReader, StoredDescriptors

__all__ = ["FeatureReader", "FeatureStore", "StoredDescriptors", "describe", "fingerprint"]

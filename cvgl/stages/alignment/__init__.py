"""Choosing, without labels, which crop, rotations and layers show both views alike."""

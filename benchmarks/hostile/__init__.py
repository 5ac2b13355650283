"""Inputs that go wrong in the field, drawn by seed and given to the product: what it takes, refuses and loses."""

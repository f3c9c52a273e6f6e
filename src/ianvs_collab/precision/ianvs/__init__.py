"""Precision-aware inference as an Ianvs algorithm: one module that measures its portfolio and serves the test data."""

from ianvs_collab.precision.ianvs.model import MultiPrecision

__all__ = ["MultiPrecision"]

"""Metrics: pure functions of the right answers and the recorded predictions, usable in Ianvs and without it."""

from ianvs_collab.metrics import cost, latency, privacy, quality, traffic  # noqa: F401 - importing registers the metrics
from ianvs_collab.metrics.percentile import percentile
from ianvs_collab.metrics.quality import correctness
from ianvs_collab.metrics.registry import Metric, metric, metrics, plugins

__all__ = ["Metric", "correctness", "metric", "metrics", "percentile", "plugins"]

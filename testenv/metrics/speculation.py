"""Ianvs plug-in: metrics of drafts and verdicts; formulas in docs/reference/metrics.md."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.metrics.speculation import METRICS

for name, function in METRICS.items():
    ClassFactory.register(ClassType.GENERAL, alias=name)(function)

"""Ianvs plug-in: metrics of memory; docs/reference/portfolio.md says what is counted."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.metrics.memory import METRICS

for name, function in METRICS.items():
    ClassFactory.register(ClassType.GENERAL, alias=name)(function)

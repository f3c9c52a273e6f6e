"""Ianvs plug-in: metrics of personal data sent to the cloud; formulas in docs/reference/metrics.md."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.metrics import plugins

for name, function in plugins("privacy").items():
    ClassFactory.register(ClassType.GENERAL, alias=name)(function)

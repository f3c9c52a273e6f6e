"""The shipped metrics of quality, latency and speculation, registered by name."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.metrics import plugins
from ianvs_collab.metrics.speculation import METRICS

for name, function in {**plugins("quality"), **plugins("latency"), **METRICS}.items():
    ClassFactory.register(ClassType.GENERAL, alias=name)(function)

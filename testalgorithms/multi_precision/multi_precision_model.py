"""Registers the model that is served at several precisions, with the orchestrator that chooses among them."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.precision.ianvs import MultiPrecision

ClassFactory.register(ClassType.GENERAL, alias="MultiPrecision")(MultiPrecision)

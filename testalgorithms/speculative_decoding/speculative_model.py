"""Registers the strategy in which the edge drafts and the cloud verifies."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import SpeculativeModel

ClassFactory.register(ClassType.GENERAL, alias="SpeculativeModel")(SpeculativeModel)

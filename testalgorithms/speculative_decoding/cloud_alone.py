"""Registers the target alone, streamed: a baseline."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import CloudAlone

ClassFactory.register(ClassType.GENERAL, alias="CloudAlone")(CloudAlone)

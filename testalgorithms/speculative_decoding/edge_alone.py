"""Registers the draft model alone: a baseline."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import EdgeAlone

ClassFactory.register(ClassType.GENERAL, alias="EdgeAlone")(EdgeAlone)

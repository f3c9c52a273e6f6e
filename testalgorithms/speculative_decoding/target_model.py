"""Registers the target: the cloud model of every strategy."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import TargetModel

ClassFactory.register(ClassType.GENERAL, alias="TargetModel")(TargetModel)

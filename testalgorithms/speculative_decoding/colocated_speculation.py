"""Registers drafting and verifying in the cloud: a baseline."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import ColocatedSpeculation

ClassFactory.register(ClassType.GENERAL, alias="ColocatedSpeculation")(ColocatedSpeculation)

"""Registers transformers' assisted generation in the cloud: a baseline."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import TransformersAssisted

ClassFactory.register(ClassType.GENERAL, alias="TransformersAssisted")(TransformersAssisted)

"""Registers transformers' prompt lookup in the cloud: a baseline."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import TransformersLookup

ClassFactory.register(ClassType.GENERAL, alias="TransformersLookup")(TransformersLookup)

"""Registers the miner of every strategy: there is nothing to route."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.speculative.ianvs import NotMined

ClassFactory.register(ClassType.HEM, alias="NotMined")(NotMined)

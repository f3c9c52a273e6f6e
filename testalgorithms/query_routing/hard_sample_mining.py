"""Registers the routers as hard-example miners, by name."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab import routing

for name in routing.ROUTERS:
    ClassFactory.register(ClassType.HEM, alias=name)(getattr(routing, name))

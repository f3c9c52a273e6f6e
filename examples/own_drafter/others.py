"""What surrounds a drafter, registered by name: data set processor, target, and the cloud alone to compare with."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.inference import QueryProcessor
from ianvs_collab.speculative.ianvs import CloudAlone, NotMined, TargetModel

for kind in (QueryProcessor, CloudAlone, TargetModel):
    ClassFactory.register(ClassType.GENERAL, alias=kind.__name__)(kind)
ClassFactory.register(ClassType.HEM, alias="NotMined")(NotMined)

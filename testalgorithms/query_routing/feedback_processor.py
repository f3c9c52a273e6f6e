"""Registers the data set processor for routers that learn from feedback: it puts a user behind each query."""

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.routing.online import FeedbackQueryProcessor

ClassFactory.register(ClassType.GENERAL, alias="FeedbackQueryProcessor")(FeedbackQueryProcessor)

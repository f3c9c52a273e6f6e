"""Routers that learn while they work, from what users say of the answers they are shown."""

from ianvs_collab.routing.online.bandits import LinUCB, ThompsonSampling
from ianvs_collab.routing.online.epsilon import EpsilonGreedy
from ianvs_collab.routing.online.features import FeatureMap
from ianvs_collab.routing.online.feedback import FeedbackQueryProcessor, Users
from ianvs_collab.routing.online.pacing import Pacer
from ianvs_collab.routing.online.policy import Context, Decision, OnlinePolicy
from ianvs_collab.routing.online.prequential import Replayed, replay
from ianvs_collab.routing.online.router import LifelongRouter
from ianvs_collab.routing.online.stream import Stream, subject_blocks

__all__ = [
    "Context",
    "Decision",
    "EpsilonGreedy",
    "FeatureMap",
    "FeedbackQueryProcessor",
    "LifelongRouter",
    "LinUCB",
    "OnlinePolicy",
    "Pacer",
    "Replayed",
    "Stream",
    "ThompsonSampling",
    "Users",
    "replay",
    "subject_blocks",
]

"""Verification at the cloud: one strategy a file, all of them lossless."""

from ianvs_collab.speculative.verification.base import Choice, Chooser, Draft, Matching, Verdict, Verifier
from ianvs_collab.speculative.verification.greedy import Greedy
from ianvs_collab.speculative.verification.gumbel import Gumbel
from ianvs_collab.speculative.verification.rejection import Rejection, replacement
from ianvs_collab.speculative.verification.sample_match import SampleMatch

__all__ = [
    "Choice",
    "Chooser",
    "Draft",
    "Gumbel",
    "Greedy",
    "Matching",
    "Rejection",
    "SampleMatch",
    "Verdict",
    "Verifier",
    "replacement",
]

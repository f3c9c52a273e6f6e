"""What proposes tokens at the edge: one drafter a file."""

from ianvs_collab.speculative.drafters.aligned import AlignedDrafter
from ianvs_collab.speculative.drafters.base import Drafter
from ianvs_collab.speculative.drafters.early_exit import early_exit
from ianvs_collab.speculative.drafters.lookup import PromptLookup
from ianvs_collab.speculative.drafters.model import ModelDrafter
from ianvs_collab.speculative.drafters.picking import DrawingPicker, FixedPicker, Picker
from ianvs_collab.speculative.drafters.retrieval import Datastore, RetrievalDrafter
from ianvs_collab.speculative.drafters.silent import Silent
from ianvs_collab.speculative.drafters.suffix import SuffixDrafter

__all__ = [
    "AlignedDrafter",
    "Datastore",
    "Drafter",
    "DrawingPicker",
    "FixedPicker",
    "ModelDrafter",
    "Picker",
    "PromptLookup",
    "RetrievalDrafter",
    "Silent",
    "SuffixDrafter",
    "early_exit",
]

"""Speculative decoding between edge and cloud: a small model drafts, a large one verifies, the output is the latter's.

from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.stepping import open_stepper
from ianvs_collab.speculative import ModelDrafter, SpeculativeDecoder

target = open_stepper(load_model("transformers", "zoo:cloud"))
draft = open_stepper(load_model("transformers", "zoo:edge"))
decoder = SpeculativeDecoder(target, ModelDrafter(draft, target.vocabulary, end_tokens=target.end_tokens))
decoding = decoder.decode([{"role": "user", "content": "What is the capital of France?"}])
"""

from ianvs_collab.speculative.decoder import PIPELININGS, Decoding, SpeculativeDecoder
from ianvs_collab.speculative.drafters import (
    AlignedDrafter,
    Datastore,
    Drafter,
    ModelDrafter,
    PromptLookup,
    RetrievalDrafter,
    Silent,
    SuffixDrafter,
    early_exit,
)
from ianvs_collab.speculative.errors import CloudLostError, ProtocolError, SpeculativeError
from ianvs_collab.speculative.loop import FixedLength, LengthPolicy, MeasuredLength, Meter, Round, Tally
from ianvs_collab.speculative.modes import MODES, make_chooser
from ianvs_collab.speculative.protocols import PROTOCOLS, make_codec

__all__ = [
    "MODES",
    "PIPELININGS",
    "PROTOCOLS",
    "AlignedDrafter",
    "CloudLostError",
    "Datastore",
    "Decoding",
    "Drafter",
    "FixedLength",
    "LengthPolicy",
    "MeasuredLength",
    "Meter",
    "ModelDrafter",
    "PromptLookup",
    "ProtocolError",
    "RetrievalDrafter",
    "Silent",
    "Round",
    "SpeculativeDecoder",
    "SpeculativeError",
    "SuffixDrafter",
    "Tally",
    "early_exit",
    "make_chooser",
    "make_codec",
]

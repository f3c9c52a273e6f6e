"""Speculation over a link that is really there: a worker that verifies, and a target that lives on it.

On the cloud's machine `ianvs cloud --model zoo:cloud --extension ianvs_collab.speculative.remote.messages`; at the edge
`connect("host:50051")` gives the target of a `SpeculativeDecoder`.
"""

from ianvs_collab.speculative.remote.cloud import RemoteCloud
from ianvs_collab.speculative.remote.target import RemoteTarget, connect
from ianvs_collab.speculative.remote.terms import Terms

EXTENSION = "ianvs_collab.speculative.remote.messages"
"""What `ianvs cloud` has to load: `--extension` and this."""

__all__ = ["EXTENSION", "RemoteCloud", "RemoteTarget", "Terms", "connect"]

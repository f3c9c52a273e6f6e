"""The edge-cloud link: deployments, the virtual timeline of a query, and the bytes that cross."""

from ianvs_collab.link.deployment import (
    EMULATED_TIERS,
    Deployment,
    DeploymentError,
    Device,
    Link,
    Price,
    current_deployment,
    load_deployment,
    use_deployment,
)
from ianvs_collab.link.rate import RateTrace, TraceError
from ianvs_collab.link.timeline import Event, Timeline

__all__ = [
    "EMULATED_TIERS",
    "Deployment",
    "DeploymentError",
    "Device",
    "Event",
    "Link",
    "Price",
    "RateTrace",
    "Timeline",
    "TraceError",
    "current_deployment",
    "load_deployment",
    "use_deployment",
]

"""The relay tier: edge and cloud are processes on loopback, and a process between them delays, shapes and counts.

with Relay(load_deployment("testenv/deployments/4g.yaml"), server=("127.0.0.1", 8000)) as relay:
    answer = ask(relay.host, relay.port)
    print(relay.counters().uplink.sent)
"""

from ianvs_collab.link.relay.calibration import Calibration, CalibrationError
from ianvs_collab.link.relay.relay import Counters, Relay, RelayError

__all__ = ["Calibration", "CalibrationError", "Counters", "Relay", "RelayError"]

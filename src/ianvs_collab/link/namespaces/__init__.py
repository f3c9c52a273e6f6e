"""The namespaces tier: the cloud in a network namespace of its own, reached over a link that the kernel shapes.

with NamespacedRelay(load_deployment("testenv/deployments/4g.yaml"), server=("127.0.0.1", 8000)) as relay:
    start_the_server(relay.command(["python", "server.py"]))
    answer = ask(relay.host, relay.port)
    print(relay.frames())
"""

from ianvs_collab.link.namespaces.network import Frames, NamespaceError
from ianvs_collab.link.namespaces.relay import NamespacedRelay

__all__ = ["Frames", "NamespaceError", "NamespacedRelay"]

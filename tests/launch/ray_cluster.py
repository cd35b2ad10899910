"""A Ray cluster of two machines on this one, for as long as the standard input is open.

It prints its two addresses. At each line that it reads it loses its second machine, as a power cut
would have it, gets another in its place, and says so.
"""

import socket
import sys

from ray.cluster_utils import Cluster

LOOPBACK = "127.0.0.1"
EACH = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": 80_000_000,
        "include_dashboard": False}  # fmt: skip


def free_port():
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return free.getsockname()[1]


def tell(*words):
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def main():
    port = free_port()
    first = {**EACH, "resources": {"first": 1}, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=first)
    second = cluster.add_node(**EACH, resources={"second": 1})
    tell(cluster.address, f"ray://{LOOPBACK}:{port}")
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        second = cluster.add_node(**EACH, resources={"second": 1})
        tell("replaced")
    cluster.shutdown()


if __name__ == "__main__":
    main()

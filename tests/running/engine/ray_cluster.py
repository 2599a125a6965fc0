"""A Ray cluster on this machine, run in a process of its own: a head without CPUs, and nodes of one CPU each.

Prints its address. Each line on stdin is the process id of a raylet: that node is killed, and "removed" printed. The
line "add" adds a node. The end of stdin ends the cluster.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


def main(nodes: int) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "num_cpus": 0})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, **SMALL)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "add":
                cluster.add_node(num_cpus=1, **SMALL)
            else:
                remove(cluster, int(line))
            print("done", flush=True)
    finally:
        cluster.shutdown()


def remove(cluster: Cluster, raylet: int) -> None:
    for node in list(cluster.worker_nodes):
        if node.all_processes["raylet"][0].process.pid == raylet:
            cluster.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))

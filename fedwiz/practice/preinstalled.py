"""A practice cluster on which someone has followed the procedure by hand, without fedwiz."""

import json

from fedwiz.facts.versions import api_of, parse_version
from fedwiz.model.envfile import with_values
from fedwiz.practice import dockerd, flanneld, systemd
from fedwiz.practice.generations import LOCAL_UNITS, flannel_package
from fedwiz.practice.machine import Cluster, Machine


def follow_procedure(cluster: Cluster) -> None:
    """Write the key to etcd; on each node install flannel and move docker to its subnet."""
    answers = cluster.answers
    for node in cluster.nodes():
        api = api_of(parse_version(node.offered))
        cluster.keys.set(api, answers.key, answers.config_json())
    for node in cluster.nodes():
        _node(cluster, node)


def _node(cluster: Cluster, node: Machine) -> None:
    answers = cluster.answers
    for path, text in flannel_package(node.offered).items():
        node.put(path, text)
    node.packages["flannel"] = node.offered
    interface = answers.named(node.name).interface
    options = [*answers.flannel.options, *([f"-iface={interface}"] if interface else [])]
    sysconfig = node.files["/etc/sysconfig/flanneld"]
    endpoints = ",".join(answers.etcd.endpoints)
    sysconfig.text = with_values(
        sysconfig.text,
        {
            "FLANNEL_ETCD": endpoints,
            "FLANNEL_ETCD_ENDPOINTS": endpoints,
            "FLANNEL_ETCD_KEY": answers.etcd.prefix,
            "FLANNEL_ETCD_PREFIX": answers.etcd.prefix,
            "FLANNEL_OPTIONS": " ".join(options),
        },
    )
    unit = node.cat(dockerd.DOCKER_UNIT)
    if "$DOCKER_NETWORK_OPTIONS" not in unit:
        start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
        node.put(
            f"{LOCAL_UNITS}/docker.service.d/flannel-options.conf",
            f"[Service]\nExecStart=\n{start} $DOCKER_NETWORK_OPTIONS\n",
        )
    if node.docker_version >= (28, 2):
        node.put(dockerd.DAEMON_JSON, json.dumps({"allow-direct-routing": True}))
    systemd.reload(node)
    systemd.enable(node, flanneld.FLANNELD_UNIT)
    systemd.stop(node, dockerd.DOCKER_UNIT)
    node.drop_link("docker0")
    systemd.start(cluster, node, flanneld.FLANNELD_UNIT)
    systemd.start(cluster, node, dockerd.DOCKER_UNIT)
    cidr = answers.network.cidr
    node.chains.insert("filter", "DOCKER-USER", f"-s {cidr} -d {cidr} -j ACCEPT")

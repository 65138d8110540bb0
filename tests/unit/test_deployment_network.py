"""Network policies say what they mean: Kubernetes' schemas take any text for a protocol, a way or a network."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from tests.deployment import of_kind

#: By policy and direction, who is at the other end, and the ports. `ip`: the internet.
WAYS = {
    "leadstream-default": {
        "ingress": {("monitoring", 9100, "TCP")},
        "egress": {("kube-system", 53, "UDP"), ("kube-system", 53, "TCP"), ("leads", 9093, "TCP")},
    },
    "leadstream-collector": {"ingress": {("ingress-nginx", 8080, "TCP")}},
    "leadstream-relay": {"egress": {("ip", 443, "TCP")}},
}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")


def policies() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}


def ends_of(way: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
    """All that a rule lets through. One that names no peer or no port would let everybody, or everything, through."""
    for peer in way.get("from", way.get("to")):
        (kind,) = peer
        if kind == "ipBlock":
            name = "ip"
        else:
            (name,) = peer[kind]["matchLabels"].values()
        for port in way["ports"]:
            yield name, port["port"], port.get("protocol", "TCP")


def test_each_policy_lets_through_what_the_table_says_and_nothing_else() -> None:
    found = {
        name: {way: {end for rule in spec[way] for end in ends_of(rule)} for way in WAYS[name]}
        for name, spec in policies().items()
    }
    assert found == WAYS


def test_a_policy_is_in_force_for_the_ways_that_it_speaks_of() -> None:
    for name, spec in policies().items():
        assert spec.keys() == {"podSelector", "policyTypes", *WAYS[name]}, name
        assert {one.lower() for one in spec["policyTypes"]} == WAYS[name].keys(), name
        assert set(spec["policyTypes"]) <= {"Ingress", "Egress"}, name


def test_the_internet_is_no_private_network() -> None:
    (block,) = [peer["ipBlock"] for way in policies()["leadstream-relay"]["egress"] for peer in way["to"]]
    all_ = ip_network(block["cidr"])
    assert set(block["except"]) == set(PRIVATE)
    assert all(ip_network(one).subnet_of(all_) for one in block["except"])  # type: ignore[arg-type]

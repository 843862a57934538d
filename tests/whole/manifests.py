"""What is sent to a cluster: manifests as kustomize or Helm make them, and what their rules let through."""

import ipaddress
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import helm_program
import pytest
import yaml
from conftest import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = KUBERNETES / "chart"
VERSIONS = ("1.30", "1.37")
LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def resources(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def kustomized(variant: str, folder: pathlib.Path = KUBERNETES) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here, which has kustomize")
    done = subprocess.run(["kubectl", "kustomize", folder / variant], check=True, capture_output=True, text=True)
    return resources(done.stdout)


def templated(*settings: str) -> list[dict[str, Any]]:
    """What `helm install search deploy/kubernetes/chart --set ...` would send."""
    done = helm(*settings)
    assert done.returncode == 0, done.stderr
    return resources(done.stdout)


def helm(*settings: str, words: tuple[Any, ...] = ("template", "search", CHART, "--namespace", "ours")) -> Any:
    """The same, or what Helm says against it.

    Args:
        settings: as `--set` has them, lists in JSON.
        words: its command.
    """
    given = [word for each in settings for word in ("--set-json" if "=[" in each else "--set", each)]
    return subprocess.run(
        [helm_program.find(), *words, *given], capture_output=True, text=True, timeout=60, check=False
    )


def pods(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in found:
        spec = each.get("spec", {})
        if template := spec.get("jobTargetRef", spec).get("template"):
            yield template["spec"]


def containers(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for pod in pods(found):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def check_locked(found: list[dict[str, Any]], limits: frozenset[str] = frozenset()) -> None:
    """Nobody special, nothing to gain, nothing to write to but folders with a limit, limits on memory and disk.

    Args:
        limits: what else a worker may have.
    """
    for pod in pods(found):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod.get("volumes", ()) if "emptyDir" in volume)
    for container in containers(found):
        assert container["securityContext"] == LOCKED
        also = limits if container["name"] == "worker" else frozenset()
        assert set(container["resources"]["limits"]) == {"memory", "ephemeral-storage", *also}


def check_references(found: list[dict[str, Any]]) -> None:
    """Each ConfigMap, Secret, volume and pod that something refers to is there, or is the user's to make."""
    names = {(each["kind"], each["metadata"]["name"]) for each in found}
    for container in containers(found):
        for source in container.get("envFrom", ()):
            assert ("ConfigMap", source["configMapRef"]["name"]) in names
        for variable in container.get("env", ()):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            assert secret is None or (secret["name"], secret["key"] in ("url", "password")) == ("search-storage", True)
    claimed = {"data"}  # the claim of the StatefulSet
    for pod in pods(found):
        volumes = [volume["name"] for volume in pod.get("volumes", ())]
        assert len(volumes) == len(set(volumes))
        each = [*pod.get("initContainers", ()), *pod["containers"]]
        mounted = {mount["name"] for container in each for mount in container["volumeMounts"]}
        assert mounted <= claimed.union(volumes)
        assert mounted >= set(volumes)
    templates = [each["spec"]["template"] for each in found if "template" in each.get("spec", {})]
    for service in (each for each in found if each["kind"] == "Service"):
        assert any(service["spec"]["selector"].items() <= each["metadata"]["labels"].items() for each in templates)


class Network:
    """What NetworkPolicies let through, by the rules that their documentation states."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self._policies = [each["spec"] for each in found if each["kind"] == "NetworkPolicy"]

    def sends(self, labels: dict[str, str], peer: dict[str, str] | str, port: int) -> bool:
        """Whether pods of these labels may open a connection to a pod, or an address outside."""
        return self._passes("Egress", labels, peer, port)

    def receives(self, labels: dict[str, str], peer: dict[str, str] | str, port: int) -> bool:
        """Whether a pod, or an address outside, may open one to pods of these labels."""
        return self._passes("Ingress", labels, peer, port)

    def _passes(self, way: str, labels: dict[str, str], peer: dict[str, str] | str, port: int) -> bool:
        ruling = [each for each in self._policies if way in each["policyTypes"] and picks(each["podSelector"], labels)]
        sides = {"Egress": "to", "Ingress": "from"}
        return not ruling or any(
            port in [each["port"] for each in rule["ports"]] and any(is_peer(each, peer) for each in rule[sides[way]])
            for policy in ruling
            for rule in policy.get(way.lower(), ())
        )


def picks(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


def is_peer(given: dict[str, Any], peer: dict[str, str] | str) -> bool:
    if isinstance(peer, str):
        block = given.get("ipBlock")
        inside = [block["cidr"], *block.get("except", ())] if block else ["0.0.0.0/32"]
        cidr, *holes = [ipaddress.ip_address(peer) in ipaddress.ip_network(each) for each in inside]
        return cidr and not any(holes)
    if "ipBlock" in given:
        return False
    where = {"kubernetes.io/metadata.name": peer.get("namespace", "ours")}
    in_namespace = picks(given["namespaceSelector"], where) if "namespaceSelector" in given else "namespace" not in peer
    return in_namespace and picks(given.get("podSelector", {}), peer)

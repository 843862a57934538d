"""The manifests say what the program and Kubernetes understand, and give pods no more than they need."""

import ipaddress
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from asked_commands import check_command, known_variables
from conftest import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path for path in KUBERNETES.glob("*/*.yaml") if path.name != "kustomization.yaml")
VARIANTS = ("workers-job", "workers-deployment")
VERSIONS = ("1.30", "1.37")
SERVICE_IMAGE = "optuna-search-service:local"


def resources(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def kustomized(variant: str, folder: pathlib.Path = KUBERNETES) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here, which has kustomize")
    done = subprocess.run(["kubectl", "kustomize", folder / variant], check=True, capture_output=True, text=True)
    return resources(done.stdout)


def downloading(variant: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    """The same with the component that lets workers fetch their data."""
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    file = folder / "kubernetes" / variant / "kustomization.yaml"
    file.write_text(file.read_text().replace("# - ../download", "- ../download"))
    return kustomized(variant, folder / "kubernetes")


def pods(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in found:
        if template := each.get("spec", {}).get("template"):
            yield template["spec"]


def containers(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for pod in pods(found):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(path: pathlib.Path, version: str) -> None:
    """Each resource fits Kubernetes' schema, with no field that it does not know."""
    found = resources(path.read_text())
    assert found
    for each in found:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kustomizations_build(variant: str) -> None:
    """Both variants build to valid resources whose references are all there."""
    found = kustomized(variant)
    for each in found:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    kinds = [each["kind"] for each in found]
    workers = "Job" if variant == "workers-job" else "Deployment"
    served = [kind for kind in kinds if kind not in ("NetworkPolicy", "PodDisruptionBudget")]
    assert sorted(served) == sorted(["ConfigMap", "Deployment", "Service", "Service", "StatefulSet", workers])
    names = {(each["kind"], each["metadata"]["name"]) for each in found}
    for container in containers(found):
        for source in container.get("envFrom", ()):
            assert ("ConfigMap", source["configMapRef"]["name"]) in names
        for variable in container.get("env", ()):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            assert secret is None or (secret["name"], secret["key"] in ("url", "password")) == ("search-storage", True)
    for pod in pods(found):
        volumes = {volume["name"] for volume in pod.get("volumes", ())} | {"data"}  # the claim of the StatefulSet
        each = [*pod.get("initContainers", ()), *pod["containers"]]
        assert {mount["name"] for container in each for mount in container["volumeMounts"]} <= volumes
    for service in (each for each in found if each["kind"] == "Service"):
        labels = [pod["spec"]["template"]["metadata"]["labels"] for pod in found if "template" in pod.get("spec", {})]
        assert any(service["spec"]["selector"].items() <= each.items() for each in labels)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_are_locked(variant: str, tmp_path: pathlib.Path) -> None:
    """Nobody special, nothing to gain, nothing to write to but folders with a limit, limits on memory and disk."""
    for found in (kustomized(variant), downloading(variant, tmp_path)):
        for pod in pods(found):
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not pod["automountServiceAccountToken"]
            assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)
        for container in containers(found):
            context = container["securityContext"]
            assert context == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert set(container["resources"]["limits"]) == {"memory", "ephemeral-storage"}


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


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_only_what_must_be_is_connected(variant: str, download: bool, tmp_path: pathlib.Path) -> None:
    """Workers and dashboard reach the database and names; the dashboard is reached; the outside, only to download."""
    found = downloading(variant, tmp_path) if download else kustomized(variant)
    network = Network(found)
    ours = [each["spec"]["template"]["metadata"]["labels"] for each in found if "template" in each.get("spec", {})]
    labels = {each["app"]: each for each in ours}
    worker, dashboard, database = (labels[f"search-{name}"] for name in ("worker", "dashboard", "postgres"))
    stranger = {"app": "other", "namespace": "theirs"}
    names = {"k8s-app": "kube-dns", "namespace": "kube-system"}
    outside, inside = "93.184.215.14", "10.1.2.3"
    for each in (worker, dashboard):
        assert network.sends(each, database, 5432)
        assert network.receives(database, each, 5432)
        assert network.sends(each, names, 53)
        assert not network.sends(each, database, 22)
        assert not network.sends(each, stranger, 5432)
    for peer in (worker, dashboard, stranger, names, outside):
        assert not network.sends(database, peer, 443)
        assert not network.receives(worker, peer, 8080)
    assert not network.receives(database, stranger, 5432)
    assert not network.receives(database, outside, 5432)
    assert network.receives(dashboard, stranger, 8080)
    assert not network.receives(dashboard, stranger, 22)
    assert not network.sends(worker, dashboard, 8080)
    assert not network.sends(dashboard, outside, 443)
    assert network.sends(worker, outside, 443) == download
    assert not network.sends(worker, inside, 443)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_drain_asks_first(variant: str) -> None:
    """Budgets for workers and the database, of a form that their kind can have; a Job keeps its last worker."""
    found = kustomized(variant)
    budgets = {
        each["spec"]["selector"]["matchLabels"]["app"]: {k: v for k, v in each["spec"].items() if k != "selector"}
        for each in found
        if each["kind"] == "PodDisruptionBudget"
    }
    worker = {"minAvailable": 1} if variant == "workers-job" else {"maxUnavailable": "50%"}
    assert budgets == {"search-worker": worker, "search-postgres": {"maxUnavailable": 0}}
    assert set(budgets) <= {
        each["spec"]["template"]["metadata"]["labels"]["app"] for each in found if "template" in each.get("spec", {})
    }


def test_no_password_on_a_command_line() -> None:
    """What the instructions tell people to type shows no secret to whoever lists processes."""
    text = (KUBERNETES / "README.md").read_text()
    assert "--from-file=secrets/password --from-file=secrets/url" in text
    assert not re.search(r"--from-literal|--env|PGPASSWORD=", text)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_asks_for_commands_that_exist(variant: str) -> None:
    """Commands, their options and the settings are those of this version of the program."""
    found = kustomized(variant)
    assert not any("command" in each for each in containers(found))  # it would pass the image's entry point over
    commands = [each["args"] for each in containers(found) if each["image"] == SERVICE_IMAGE]
    assert {words[1] for words in commands} == {"create", "work", "dashboard"}
    for words in commands:
        check_command(words)
    stays = any("--stay" in words for words in commands)
    assert stays == (variant == "workers-deployment")
    (settings,) = (each["data"] for each in found if each["kind"] == "ConfigMap")
    assert {name for name in settings if name.startswith("SEARCH_")} <= known_variables()

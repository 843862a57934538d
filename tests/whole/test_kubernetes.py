"""The manifests say what the program and Kubernetes understand, and give pods no more than they need."""

import pathlib
import re
import shutil
from typing import Any

import kubernetes_validate
import pytest
from asked_commands import check_command, known_variables
from manifests import (
    CHART,
    KUBERNETES,
    VERSIONS,
    Network,
    check_locked,
    check_references,
    containers,
    kustomized,
    pods,
    resources,
)

MANIFESTS = sorted(
    path for path in KUBERNETES.glob("*/*.yaml") if path.name != "kustomization.yaml" and path.parent != CHART
)
VARIANTS = ("workers-job", "workers-deployment")
SERVICE_IMAGE = "optuna-search-service:local"


def downloading(variant: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    """The same with the component that lets workers fetch their data."""
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    file = folder / "kubernetes" / variant / "kustomization.yaml"
    file.write_text(file.read_text().replace("# - ../download", "- ../download"))
    return kustomized(variant, folder / "kubernetes")


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
    check_references(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_are_locked(variant: str, tmp_path: pathlib.Path) -> None:
    """Nobody special, nothing to gain, nothing to write to but folders with a limit, limits on memory and disk."""
    for found in (kustomized(variant), downloading(variant, tmp_path)):
        check_locked(found)


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


def own(variant: str, folder: pathlib.Path, base: str) -> list[dict[str, Any]]:
    """An overlay for code of the user's, on Job or Deployment, with a GPU for each worker."""
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    file = folder / "kubernetes" / variant / "kustomization.yaml"
    text = file.read_text().replace("# - ../gpu", "- ../gpu").replace("  - ../workers-job", f"  - ../{base}")
    file.write_text(text)
    return kustomized(variant, folder / "kubernetes")


@pytest.mark.parametrize("base", VARIANTS)
@pytest.mark.parametrize("variant", ["own-image", "own-code"])
def test_overlays_bring_code_of_the_users_own(variant: str, base: str, tmp_path: pathlib.Path) -> None:
    """What makes the study and what works on it have the code, where they start, and may run what is named."""
    assert kustomized(variant)
    found = own(variant, tmp_path, base)
    for each in found:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    check_references(found)
    check_locked(found, frozenset({"nvidia.com/gpu"}))
    (settings,) = (each["data"] for each in found if each["kind"] == "ConfigMap")
    expected = {
        "STUDY": "study.toml",
        "SEARCH_ALLOW_OBJECTIVES": "train:objective",
        "SEARCH_DEVICE": "cuda",
        "SEARCH_GPUS": "all",
    }
    assert {name: settings[name] for name in expected} == expected
    (worker,) = (each for each in containers(found) if each["name"] == "worker")
    (pod,) = (pod for pod in pods(found) if worker in pod["containers"])
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    *first, create = pod["initContainers"]
    images = {each["image"] for each in (create, worker)}
    assert images == {"REGISTRY/mine:1" if variant == "own-image" else SERVICE_IMAGE}
    if variant == "own-code":
        (code,) = first
        assert (code["image"], code["command"]) == ("REGISTRY/code:1", ["cp", "-R", "/code/.", "/own/"])
        assert {"name": "own", "mountPath": "/own"} in code["volumeMounts"]
        for each in (create, worker):
            assert each["workingDir"] == "/own"
            assert {"name": "own", "mountPath": "/own", "readOnly": True} in each["volumeMounts"]

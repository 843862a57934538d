"""The files that deploy the service say what the program and Kubernetes understand."""

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from conftest import ROOT

from search.cli import commands

KUBERNETES = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path for path in KUBERNETES.glob("*/*.yaml") if path.name != "kustomization.yaml")
VARIANTS = ("workers-job", "workers-deployment")
VERSIONS = ("1.30", "1.37")
SERVICE_IMAGE = "optuna-search-service:local"


def resources(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def kustomized(variant: str) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here, which has kustomize")
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / variant], check=True, capture_output=True, text=True)
    return resources(done.stdout)


def pods(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in found:
        if template := each.get("spec", {}).get("template"):
            yield template["spec"]


def containers(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for pod in pods(found):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def check_command(words: list[str]) -> None:
    """`search ...` with options that this version has."""
    command = commands.load(words[1])
    arguments = [re.sub(r"\$\{(\w+)(:-(\w*))?\}|\$\((\w+)\)", "lab", word) for word in words[2:]]
    command.make_context("search", arguments, resilient_parsing=False)


def known_variables() -> set[str]:
    parameters = (each for name in commands.COMMANDS for each in commands.load(name).params)
    return {str(each.envvar) for each in parameters if isinstance(each, click.Option) and each.envvar}


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
    assert sorted(kinds) == sorted(["ConfigMap", "Deployment", "Service", "Service", "StatefulSet", workers])
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
        assert service["spec"]["selector"] in labels


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_are_locked(variant: str) -> None:
    """Nobody special, nothing to gain, limits on memory; our own on a root file system that is read-only."""
    found = kustomized(variant)
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods(found))
    assert not any(pod["automountServiceAccountToken"] for pod in pods(found))
    for container in containers(found):
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
        assert "memory" in container["resources"]["limits"]
        assert context.get("readOnlyRootFilesystem", False) == (container["image"] == SERVICE_IMAGE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_asks_for_commands_that_exist(variant: str) -> None:
    """Commands, their options and the settings are those of this version of the program."""
    found = kustomized(variant)
    commands = [c["command"] for c in containers(found) if c.get("command", [""])[0] == "search"]
    assert {words[1] for words in commands} == {"create", "work", "dashboard"}
    for words in commands:
        check_command(words)
    stays = any("--stay" in words for words in commands)
    assert stays == (variant == "workers-deployment")
    (settings,) = (each["data"] for each in found if each["kind"] == "ConfigMap")
    assert {name for name in settings if name.startswith("SEARCH_")} <= known_variables()


def test_compose_asks_for_commands_that_exist() -> None:
    """The compose files' commands, options and settings too; nothing is published beyond loopback; no password."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name: each for name, each in services.items() if name != "db"}
    assert set(ours) == {"create", "worker", "dashboard"}
    more = [yaml.safe_load((ROOT / f"compose.{name}.yaml").read_text())["services"] for name in ("gpu", "password")]
    for each in ours.values():
        check_command(each["command"])
        assert (each["init"], each["read_only"], each["cap_drop"]) == (True, True, ["ALL"])
        assert each["restart"] in ("no", "on-failure:5")
        assert "mem_limit" in each
    named = [set(service.get("environment", {})) for group in (ours, *more) for service in group.values()]
    assert {name for names in named for name in names if name.startswith("SEARCH_")} <= known_variables()
    assert [port for each in services.values() for port in each.get("ports", ())] == [
        "127.0.0.1:${DASHBOARD_PORT:-8080}:8080"
    ]
    assert "POSTGRES_PASSWORD" not in services["db"]["environment"]


def test_the_example_settings_are_the_defaults() -> None:
    """.env.example has every setting of the compose files, each with the value that holds without it."""
    text = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "compose.gpu.yaml"))
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text.replace("${DEVICE:-cuda}", "")))
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert shown == used

"""The Helm chart renders what the kustomizations are, and what its values say."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from asked_commands import check_command, known_variables
from conftest import ROOT
from doors import ask
from manifests import (
    CHART,
    VERSIONS,
    Network,
    check_locked,
    check_references,
    containers,
    helm,
    kustomized,
    pods,
    templated,
)
from trials import Make

from search.dashboard import servers
from search.storage import databases

GPU = frozenset({"nvidia.com/gpu"})
STAYS = "workers.kind=Deployment"
ANY = ("study=", 'command=["search","work","--any","--stay"]')
VARIANTS: dict[str, tuple[str, ...]] = {
    "own image": (
        "image.repository=REGISTRY/mine",
        "image.tag=1",
        "study=study.toml",
        "allowObjectives=train:objective",
    ),
    "own code": ("own.initImage=REGISTRY/code:1", "study=study.toml", STAYS),
    "own files": ("own.configMap=code", "own.path=/mine", "study=study.toml", "keda.enabled=true", STAYS),
    "gpus": ("workers.gpusPerWorker=2", "workers.slots=2", 'workers.tolerations=[{"key":"gpu","operator":"Exists"}]'),
    "scaled jobs": ("keda.enabled=true", "keda.study=lab", "keda.maxReplicas=8", "own.initImage=REGISTRY/code:1"),
    "a pool": (*ANY, "keda.enabled=true", "keda.minReplicas=1", STAYS),
    "elsewhere": ("postgres.enabled=false", "network.databaseCidr=10.1.2.3/32", "storage.key=url", "image.tag=7"),
    "alone": ("dashboard.enabled=false", "network.enabled=false", "workers.dataClaim=pictures"),
    "with files": ("store.claim=files", STAYS),
    "with a bucket": ("store.url=s3://bucket/folder", "network.toTheWeb=true"),
    "with logs": ("logFormat=json",),
    "with variables": ('env=[{"name":"PYTHONPATH","value":"/own/lib"}]', 'imagePullSecrets=[{"name":"mine"}]'),
}


def worker_of(found: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod of workers, and its container."""
    ((pod, worker),) = ((pod, each) for pod in pods(found) for each in pod["containers"] if each["name"] == "worker")
    return pod, worker


def named(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    assert len(found) == len({(each["kind"], each["metadata"]["name"]) for each in found})
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_it_is_the_kustomization(kind: str) -> None:
    """Without values, the chart sends what `kubectl apply -k` does, field by field, but for what an upgrade needs."""
    found = templated(f"workers.kind={kind}")
    for each in found:
        if each["kind"] == "Job":
            each["metadata"]["name"] = "search-workers"
        template = each.get("spec", {}).get("template", {"metadata": {}})
        template["metadata"].pop("annotations", None)
    assert named(found) == named(kustomized(f"workers-{kind.lower()}"))


def test_an_upgrade_starts_other_pods_where_something_has_changed() -> None:
    """A Job whose pods would differ has another name, one that has more pods keeps it; settings are part of a pod."""

    def job(*settings: str) -> str:
        (name,) = (name for kind, name in named(templated(*settings)) if kind == "Job")
        return name

    def pod(*settings: str) -> Any:
        return named(templated(STAYS, *settings))["Deployment", "search-workers"]["spec"]["template"]

    assert job() == job("workers.replicas=9")
    assert len({job(), job("image.tag=2"), job("allowObjectives=all"), job("workers.gpusPerWorker=1")}) == 4
    assert pod() != pod("allowObjectives=all")
    assert pod() == pod("workers.replicas=9")


def test_it_is_linted() -> None:
    """Helm itself finds nothing to say, and every value of the file has a rule in the schema."""
    assert helm(words=("lint", "--strict", "--quiet", CHART)).returncode == 0
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]
    assert set(schema) - {"global"} == set(values)
    for name, value in values.items():
        if "properties" in schema[name]:
            assert set(schema[name]["properties"]) == set(value), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_values_make_valid_pods(variant: str) -> None:
    """Whatever the values say, Kubernetes knows each field, what is referred to is there, and pods stay locked."""
    found = templated(*VARIANTS[variant])
    for each in found:
        if each["apiVersion"].startswith("keda.sh"):
            check_scaling(each)
        else:
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    check_references(found)
    check_locked(found, GPU if variant == "gpus" else frozenset())
    for container in containers(found):
        if container["name"] in ("worker", "create"):
            check_command(container["args"])
        variables = {each["name"] for each in container.get("env", ())} - {"OMP_NUM_THREADS", "PYTHONPATH"}
        assert {name for name in variables if not name.startswith("POSTGRES")} - {"PGDATA"} <= known_variables()


def check_scaling(found: dict[str, Any]) -> None:
    """A ScaledObject or ScaledJob: the fields that KEDA 2.16 to 2.20 knows, and the Job as Kubernetes does."""
    spec = found["spec"]
    both = {"pollingInterval", "minReplicaCount", "maxReplicaCount", "triggers"}
    if found["kind"] == "ScaledJob":
        assert set(spec) == both | {"jobTargetRef", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": spec["jobTargetRef"]}
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
    else:
        assert set(spec) == both | {"scaleTargetRef", "cooldownPeriod"}
        assert spec["scaleTargetRef"] == {"name": "search-workers"}
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "metrics-api"
    assert set(trigger["metadata"]) == {"url", "format", "valueLocation", "targetValue"}
    assert all(isinstance(each, str) for each in trigger["metadata"].values())  # which KEDA asks for
    assert trigger["metadata"]["url"] == "http://search-dashboard.ours.svc:8080/metrics"


def test_the_users_code_is_where_commands_start() -> None:
    """An image that holds it, an init container that copies it first, or a ConfigMap, read-only beside our own."""
    _, worker = worker_of(templated(*VARIANTS["own image"]))
    assert (worker["image"], "workingDir" in worker) == ("REGISTRY/mine:1", False)

    pod, worker = worker_of(templated(*VARIANTS["own code"]))
    code, create = pod["initContainers"]
    assert (code["image"], code["command"]) == ("REGISTRY/code:1", ["cp", "-R", "/code/.", "/own/"])
    assert code["volumeMounts"] == [{"name": "own", "mountPath": "/own"}]
    assert {"name": "own", "emptyDir": {"sizeLimit": "512Mi"}} in pod["volumes"]
    for each in (create, worker):
        assert (each["image"], each["workingDir"]) == ("optuna-search-service:local", "/own")
        assert {"name": "own", "mountPath": "/own", "readOnly": True} in each["volumeMounts"]

    pod, worker = worker_of(templated(*VARIANTS["own files"]))
    assert {"name": "own", "configMap": {"name": "code"}} in pod["volumes"]
    assert worker["workingDir"] == "/mine"
    assert len(pod["initContainers"]) == 1


def test_values_reach_the_workers() -> None:
    """Command, objectives, replicas, slots, GPUs with their device, and resources."""
    more = ("allowObjectives=train:objective", "workers.replicas=7", "workers.threads=2")
    found = named(templated(*VARIANTS["gpus"], *more, "workers.resources.limits.memory=9Gi"))
    pod, worker = worker_of(list(found.values()))
    assert worker["resources"]["limits"] == {"memory": "9Gi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": 2}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    variables = {each["name"]: each.get("value") for each in worker["env"]}
    assert (variables["SEARCH_SLOTS"], variables["OMP_NUM_THREADS"]) == ("2", "2")
    settings = found["ConfigMap", "search-settings"]["data"]
    expected = {"SEARCH_DEVICE": "cuda", "SEARCH_GPUS": "all", "SEARCH_ALLOW_OBJECTIVES": "train:objective"}
    assert {name: settings.get(name) for name in expected} == expected
    assert "SEARCH_LOG_FORMAT" not in settings
    logs = named(templated(*VARIANTS["with logs"]))["ConfigMap", "search-settings"]["data"]
    assert logs["SEARCH_LOG_FORMAT"] == "json"
    (job,) = (each for (kind, _), each in found.items() if kind == "Job")
    assert job["spec"]["parallelism"] == 7

    assert "SEARCH_STORE" not in settings

    pod, worker = worker_of(templated(*ANY))
    assert worker["args"] == ["search", "work", "--any", "--stay"]
    assert "initContainers" not in pod


def test_trials_keep_files_where_workers_write_and_the_dashboard_reads() -> None:
    """A claim, or an address with its credentials; all pods are told the same place."""
    found = named(templated(*VARIANTS["with files"]))
    assert found["ConfigMap", "search-settings"]["data"]["SEARCH_STORE"] == "/store"
    _, worker = worker_of(list(found.values()))
    (dashboard,) = found["Deployment", "search-dashboard"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "store", "mountPath": "/store"} in worker["volumeMounts"]
    assert {"name": "store", "mountPath": "/store", "readOnly": True} in dashboard["volumeMounts"]
    key = 'env=[{"name":"AWS_PROFILE","value":"search"}]'
    found = named(templated(*VARIANTS["with a bucket"], key))
    assert found["ConfigMap", "search-settings"]["data"]["SEARCH_STORE"] == "s3://bucket/folder"
    assert [{"name": "AWS_PROFILE", "value": "search"} in each["env"] for each in containers(list(found.values()))] == [
        each["name"] in ("worker", "dashboard") for each in containers(list(found.values()))
    ]


def test_a_database_elsewhere_is_reached_and_no_other() -> None:
    """Its address is what workers and dashboard may connect to; web servers where that is asked for."""
    worker, dashboard = (
        {"app": f"search-{name}", "app.kubernetes.io/part-of": "search"} for name in ("worker", "dashboard")
    )
    network = Network(templated(*VARIANTS["elsewhere"], "network.toTheWeb=true"))
    for each in (worker, dashboard):
        assert network.sends(each, "10.1.2.3", 5432)
        assert not network.sends(each, "10.1.2.4", 5432)
    assert network.sends(worker, "93.184.215.14", 443)
    assert not network.sends(dashboard, "93.184.215.14", 443)


@pytest.mark.parametrize(("variant", "kind"), [("scaled jobs", "ScaledJob"), ("a pool", "ScaledObject")])
def test_keda_reads_a_metric_that_is_there(
    opened: databases.Database, make_study: Make, variant: str, kind: str
) -> None:
    """As many workers as trials are to do; somebody makes the study before the first worker; nothing sets replicas."""
    make_study(name="lab", trials=5)
    make_study(name="other", trials=2)
    found = named(templated(*VARIANTS[variant]))
    spec = found[kind, "search-workers"]["spec"]
    location = spec["triggers"][0]["metadata"]["valueLocation"]
    (line,) = (
        line for line in ask(servers.Door(opened), "/metrics")[1].splitlines() if line.startswith(f"{location} ")
    )
    assert float(line.rpartition(" ")[2]) == (5 if variant == "scaled jobs" else 7)
    assert "Job" not in {kind for kind, _ in found}
    first = found["Deployment", "search-dashboard"]["spec"]["template"]["spec"].get("initContainers", [])
    assert [each["name"] for each in first] == (["code", "create"] if variant == "scaled jobs" else [])
    if variant == "a pool":
        assert "replicas" not in found["Deployment", "search-workers"]["spec"]
        assert spec["minReplicaCount"] == 1
    else:
        assert spec["maxReplicaCount"] == 8
        assert "--stay" not in spec["jobTargetRef"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("wrokers.replicas=2",), "additional properties 'wrokers' not allowed"),
        (("workers.kind=Pod",), "at '/workers/kind': value must be one of 'Job', 'Deployment'"),
        (("workers.gpusPerWorker=-1",), "at '/workers/gpusPerWorker'"),
        (("study=",), "study is empty: then command must say what workers run"),
        (("own.initImage=a", "own.configMap=b"), "your code comes from one of them, not from both"),
        (("store.claim=a", "store.url=s3://b"), "trials keep their files in one of them, not in both"),
        (("postgres.enabled=false",), "network.databaseCidr must be the address of your database"),
        (("keda.enabled=true", "dashboard.enabled=false"), "keda.enabled needs dashboard.enabled"),
    ],
)
def test_a_value_that_cannot_be_is_told(settings: tuple[str, ...], words: str) -> None:
    """The place, the rule and what is allowed, before anything is sent."""
    done = helm(*settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_every_value_is_explained() -> None:
    """docs/clusters.md names each value of the chart."""
    text = (ROOT / "docs" / "clusters.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    groups = {name: group for name, group in values.items() if isinstance(group, dict)}
    named = set(re.findall(rf"`({'|'.join(groups)})\.(\w+)`", text))
    assert named == {(name, key) for name, group in groups.items() for key in group}
    assert set(values) - set(groups) <= set(re.findall(r"`(\w+)`", text))

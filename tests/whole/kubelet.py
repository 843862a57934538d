"""A stand-in for what starts pods on a node: the containers of a pod's template, one after the other, in Docker.

What it takes from the template is what pods of ours have: init containers, commands and variables, settings and
secrets, who runs what with which rights, a working folder, memory, and volumes that are empty. A field that
it does not know is refused, so that nothing is tried that was not heeded.
"""

import os
import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import container_engine

POD = {"automountServiceAccountToken", "restartPolicy", "terminationGracePeriodSeconds", "securityContext", "volumes"}
CONTAINER = {"name", "image", "command", "args", "workingDir", "envFrom", "env", "resources", "securityContext"}
SECONDS = 120


class Node:
    """Where pods run: an engine, a network that reaches the database, and what the cluster's API would tell.

    Attributes:
        settings: of the ConfigMap that pods take variables from.
        secrets: by key, of the one Secret.
    """

    def __init__(
        self, engine: container_engine.Engine, network: str, settings: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self._engine, self._network = engine, network
        self.settings, self.secrets = settings, secrets

    def run(self, pod: Mapping[str, Any], folder: pathlib.Path) -> list[subprocess.CompletedProcess[str]]:
        """Runs all init containers and the container of a pod to their ends, and stops behind one that fails.

        Args:
            folder: for its volumes.
        """
        assert set(pod) <= POD | {"initContainers", "containers"}, pod
        for volume in pod["volumes"]:
            assert set(volume) == {"name", "emptyDir"}, volume
            (folder / volume["name"]).mkdir(parents=True)
            os.chown(folder / volume["name"], 0, pod["securityContext"]["fsGroup"])
            (folder / volume["name"]).chmod(0o2777)
        done = []
        for container in (*pod["initContainers"], *pod["containers"]):
            command = ["run", "--rm", *self._options(pod["securityContext"], container, folder), container["image"]]
            words = self._filled_in([*container.get("command", ())[1:], *container.get("args", ())], container)
            run = self._engine.docker(*command, *words, check=False, capture_output=True, timeout=SECONDS)
            done.append(run)
            if run.returncode:
                break
        return done

    def _filled_in(self, words: list[str], container: Mapping[str, Any]) -> list[str]:
        variables = dict(self._variables(container))
        return [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in words]

    def _variables(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "envFrom" in container:
            yield from self.settings.items()
        for each in container.get("env", ()):
            source = each.get("valueFrom")
            yield each["name"], each["value"] if source is None else self.secrets[source["secretKeyRef"]["key"]]

    def _options(self, rights: Mapping[str, Any], container: Mapping[str, Any], folder: pathlib.Path) -> Iterator[str]:
        assert set(container) <= CONTAINER | {"volumeMounts"}, container
        assert rights["runAsNonRoot"]
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"]
        assert not own["allowPrivilegeEscalation"]
        yield from ("--read-only", "--security-opt", "no-new-privileges:true")
        yield from ("--user", f"{rights['runAsUser']}:0", "--group-add", str(rights["fsGroup"]))
        yield from (word for each in own["capabilities"]["drop"] for word in ("--cap-drop", each))
        yield from ("--network", self._network, "--memory", container["resources"]["limits"]["memory"].rstrip("i"))
        if "workingDir" in container:
            yield from ("--workdir", container["workingDir"])
        if "command" in container:
            yield from ("--entrypoint", container["command"][0])
        for name, value in self._variables(container):
            yield from ("--env", f"{name}={value}")
        for mount in container["volumeMounts"]:
            end = ":ro" if mount.get("readOnly") else ""
            yield from ("--volume", f"{folder / mount['name']}:{mount['mountPath']}{end}")

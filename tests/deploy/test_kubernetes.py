"""The Kubernetes manifests: valid by the API's own schemas, and what they say of one another holds."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from commands import ROOT
from server.config import Config

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS = {name: yaml.safe_load((FOLDER / name).read_text()) for name in KUSTOMIZATION["resources"]}
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS.values()}
OLDEST, NEWEST = "1.30", "1.37"
"""1.30 is the first with the sleep that preStop uses."""

POD = BY_KIND["Deployment"]["spec"]["template"]
(SERVER,) = POD["spec"]["containers"]
JOB = BY_KIND["Job"]["spec"]["template"]
CONTAINERS = [SERVER, *POD["spec"]["initContainers"], *JOB["spec"]["containers"]]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_mistake_is_seen() -> None:
    wrong = copy.deepcopy(BY_KIND["Deployment"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_is_listed() -> None:
    assert set(MANIFESTS) | {"kustomization.yaml"} == {path.name for path in FOLDER.iterdir()}
    assert len(BY_KIND) == len(MANIFESTS)
    assert BY_KIND["Namespace"]["metadata"]["name"] == KUSTOMIZATION["namespace"]


@pytest.mark.parametrize(
    "selector",
    [
        BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"],
        BY_KIND["Service"]["spec"]["selector"],
        BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        BY_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ],
)
def test_selectors_take_the_servers_pods_and_not_the_jobs(selector: dict[str, str]) -> None:
    assert selector.items() <= POD["metadata"]["labels"].items()
    assert not selector.items() <= JOB["metadata"]["labels"].items()


def test_the_autoscaler_scales_this_deployment_and_a_pod_can_always_leave() -> None:
    scaler = BY_KIND["HorizontalPodAutoscaler"]["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", BY_KIND["Deployment"]["metadata"]["name"])
    assert "replicas" not in BY_KIND["Deployment"]["spec"]  # two that say how many would quarrel
    assert BY_KIND["PodDisruptionBudget"]["spec"]["maxUnavailable"] < scaler["minReplicas"]
    assert "cpu" in SERVER["resources"]["requests"]  # what utilization is a share of


def test_probes_are_those_of_the_admin_listener() -> None:
    port, admin = SERVER["ports"]
    assert port["containerPort"] == 50051
    told = {one["name"]: one.get("value") for one in SERVER["env"]}
    configured = Config(**tomllib.loads(BY_KIND["ConfigMap"]["data"]["becausal.toml"])).admin.address
    assert told["BECAUSAL_ADMIN__ADDRESS"] == configured == f"0.0.0.0:{admin['containerPort']}"
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == str(admin["containerPort"])
    # A service that does not answer takes no calls, but only a process that does not answer is killed.
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert SERVER[probe]["httpGet"] == {"path": path, "port": admin["name"]}
    startup = SERVER["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60  # compiling on another processor takes 30 s
    for named in (
        BY_KIND["Service"]["spec"]["ports"][0]["targetPort"],
        BY_KIND["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"],
    ):
        assert named == port["name"]
    assert BY_KIND["Service"]["spec"]["clusterIP"] == "None"


def test_the_configuration_is_one_and_shutdown_has_time_for_it() -> None:
    configured = Config(**tomllib.loads(BY_KIND["ConfigMap"]["data"]["becausal.toml"]))
    told = {one["name"]: one.get("value") for one in SERVER["env"]}
    assert told["BECAUSAL_DATABASE_URL"] == configured.database_url
    assert told["BECAUSAL_BUNDLE"] == str(configured.bundle)
    assert told["BECAUSAL_BUNDLES"] == str(configured.bundles)
    pause = SERVER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["spec"]["terminationGracePeriodSeconds"] >= pause + configured.drain_seconds + 10


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container["name"])
def test_a_container_may_do_little(container: dict[str, Any]) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert container["image"] in {image["name"] for image in KUSTOMIZATION["images"]}
    settings = {f"BECAUSAL_{field.upper()}" for field in Config.model_fields}
    named = {one["name"].partition("__")[0] for one in container.get("env", [])}
    assert {name for name in named if name.startswith("BECAUSAL_")} <= settings


@pytest.mark.parametrize("pod", [POD, JOB], ids=["server", "job"])
def test_a_pod_runs_as_the_images_user_without_a_token(pod: dict[str, Any]) -> None:
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["serviceAccountName"] == BY_KIND["ServiceAccount"]["metadata"]["name"]


def test_every_mount_has_its_volume() -> None:
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    mounts = {
        mount["name"] for container in (SERVER, *POD["spec"]["initContainers"]) for mount in container["volumeMounts"]
    }
    assert mounts == set(volumes)
    assert volumes["config"]["configMap"]["name"] == BY_KIND["ConfigMap"]["metadata"]["name"]
    claim = BY_KIND["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim


def test_no_secret_is_in_the_files() -> None:
    references = [
        one["valueFrom"]["secretKeyRef"]
        for container in CONTAINERS
        for one in container.get("env", [])
        if "valueFrom" in one
    ]
    assert references == [{"name": "becausal-database", "key": "password"}] * 2
    assert "kubectl create secret generic becausal-database" in (ROOT / "docs" / "deployment.md").read_text()

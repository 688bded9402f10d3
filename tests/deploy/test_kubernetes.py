"""The manifests: valid, pinned, without root, reachable only where it is said, and without secrets."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
VERSION = "1.33"
SETTINGS = dict(
    line.split("=", 1)
    for line in (FOLDER / "settings.example.env").read_text().splitlines()
    if not line.startswith("#")
)


def _objects() -> list[dict[str, Any]]:
    files = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [one for path in files for one in yaml.safe_load_all(path.read_text())]


OBJECTS = _objects()
NAMES = [f"{one['kind']}-{one['metadata']['name']}" for one in OBJECTS]


def _pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(owner, pod's metadata, pod's spec) of everything that makes pods."""
    for one in OBJECTS:
        spec, name = one.get("spec", {}), f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield name, spec["template"]["metadata"], spec["template"]["spec"]
        if one["kind"] == "RayJob":
            yield name, spec["submitterPodTemplate"]["metadata"], spec["submitterPodTemplate"]["spec"]
        if one["kind"] == "RayCluster":
            for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
                yield (
                    f"{name} {group.get('groupName', 'head')}",
                    group["template"]["metadata"],
                    group["template"]["spec"],
                )


def _containers() -> list[tuple[str, dict[str, Any]]]:
    return [(who, c) for who, _, pod in _pods() for c in (*pod.get("initContainers", ()), *pod["containers"])]


def _strict(schema: Any) -> Any:
    """The schema, refusing fields that it does not name, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.mark.parametrize("one", OBJECTS, ids=NAMES)
def test_is_valid(one: dict[str, Any]) -> None:
    if one["apiVersion"] != "ray.io/v1":
        kubernetes_validate.validate(one, VERSION, strict=True)
        return
    schema = _strict(json.loads((SCHEMAS / f"ray.io_{one['kind'].lower()}s.v1.json").read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(one, schema, cls=jsonschema.Draft7Validator)


def test_a_misspelt_field_of_ray_is_noticed() -> None:
    cluster = next(one for one in OBJECTS if one["kind"] == "RayCluster")
    wrong = {**cluster, "spec": {**cluster["spec"], "authOption": {"mode": "token"}}}
    schema = _strict(json.loads((SCHEMAS / "ray.io_rayclusters.v1.json").read_text()))
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        jsonschema.validate(wrong, {**schema, "properties": {**schema["properties"], "metadata": {}}})


def test_every_image_is_pinned() -> None:
    images = {container["image"] for _, container in _containers()}
    base = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    named = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in base["images"]}
    for image in {named.get(image, image) for image in images}:
        name, _, tag = image.rpartition(":")
        assert name, image
        assert any(character.isdigit() for character in tag), image
        assert "latest" not in tag, image


def test_no_container_runs_as_root_or_writes_to_its_image() -> None:
    for who, _, pod in _pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, who
        assert pod["securityContext"]["runAsUser"] >= 999, who
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, who
    for who, container in _containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, (who, container["name"])
        assert context["allowPrivilegeEscalation"] is False, (who, container["name"])
        assert context["capabilities"] == {"drop": ["ALL"]}, (who, container["name"])
        assert not {"runAsUser", "privileged"} & set(context), (who, container["name"])


def test_every_container_says_what_it_needs_and_may_use() -> None:
    for who, container in _containers():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), (who, container["name"])
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]), (who, container["name"])


def test_every_service_port_and_rays_are_covered_by_a_policy() -> None:
    services = {
        (one["spec"]["selector"]["sparsweep/part"], port["targetPort"])
        for one in OBJECTS if one["kind"] == "Service" for port in one["spec"]["ports"]
    }  # fmt: skip
    allowed = {
        (policy["spec"]["podSelector"]["matchLabels"]["sparsweep/part"], port["port"])
        for policy in OBJECTS if policy["kind"] == "NetworkPolicy" and policy["spec"]["podSelector"]
        for rule in policy["spec"].get("ingress", ()) for port in rule.get("ports", ())
    }  # fmt: skip
    assert services | {("ray", 8265)} == allowed


def test_nothing_is_allowed_that_no_policy_names() -> None:
    policies = [one["spec"] for one in OBJECTS if one["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    for policy in policies:
        for rule in policy.get("ingress", ()):
            assert rule["from"], policy
            assert all("ipBlock" not in peer for peer in rule["from"]), policy


def test_policies_select_pods_that_exist() -> None:
    labels = [metadata["labels"] for _, metadata, _ in _pods()]
    for one in OBJECTS:
        if one["kind"] == "NetworkPolicy" and (wanted := one["spec"]["podSelector"].get("matchLabels")):
            assert any(wanted.items() <= have.items() for have in labels), one["metadata"]["name"]


def test_secrets_are_references_to_keys_of_the_example() -> None:
    seen = {"auth_token"}  # RayCluster's authOptions
    for who, container in _containers():
        for variable in container.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert reference["name"] == "sparsweep-settings", who
                seen.add(reference["key"])
            else:
                assert not any(word in variable["name"].upper() for word in ("PASSWORD", "TOKEN", "SECRET")), who
                assert "@" not in variable["value"] or ":" not in variable["value"].split("//")[-1].split("@")[0], who
    assert seen == set(SETTINGS)
    assert not any(one["kind"] == "Secret" for one in OBJECTS)


def test_only_placeholders_are_committed_and_a_check_stands_before_each_secret() -> None:
    assert set(SETTINGS.values()) == {"change-me"}
    assert (FOLDER.parent / "settings.example.env").read_text() == (FOLDER / "settings.example.env").read_text()
    for who, _, pod in _pods():
        if who.startswith("RayJob"):
            continue  # it talks to nodes that have checked the same token
        first = pod["initContainers"][0]
        assert first["command"][0] == "check-settings", who
        used = {
            v["valueFrom"]["secretKeyRef"]["key"]
            for c in pod["containers"]
            for v in c.get("env", ())
            if "valueFrom" in v
        }
        assert used <= set(first["command"][1:]), who


def test_gpu_workers_come_and_go_on_spot_nodes() -> None:
    cluster = next(one["spec"] for one in OBJECTS if one["kind"] == "RayCluster")
    group = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "gpu-spot")
    pod = group["template"]["spec"]
    assert cluster["enableInTreeAutoscaling"]
    assert group["minReplicas"] == 0
    assert pod["nodeSelector"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["terminationGracePeriodSeconds"] >= 30


def test_ray_is_the_version_that_is_installed() -> None:
    import ray

    cluster = next(one["spec"] for one in OBJECTS if one["kind"] == "RayCluster")
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token", "secretName": "sparsweep-settings"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which has kustomize in it, is not installed")
def test_kustomize_builds_both(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("settings.env"))
    shutil.copy(folder / "settings.example.env", folder / "settings.env")
    for path, kinds in ((folder, {"Secret", "ConfigMap", "RayCluster"}), (folder / "sweep", {"RayJob"})):
        built = subprocess.run(["kubectl", "kustomize", str(path)], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        objects = list(yaml.safe_load_all(built.stdout))
        assert kinds <= {one["kind"] for one in objects}
        assert all(one["kind"] == "Namespace" or one["metadata"]["namespace"] == "sparsweep" for one in objects)
        assert "image: sparsweep\n" not in built.stdout

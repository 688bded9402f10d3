"""compose.yaml and cloud.yaml: valid, pinned, on loopback, without secrets."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CLOUD: dict[str, Any] = yaml.safe_load((DEPLOY / "cloud.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="no docker client with the compose plug-in")
def test_compose_file_is_valid(tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY, tmp_path / "deploy")
    settings = shutil.copy(folder / "settings.example.env", folder / "settings.env")
    done = subprocess.run(
        ["docker", "compose", "--env-file", str(settings), "-f", str(folder / "compose.yaml"), "config", "--quiet"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_compose_images_are_pinned_and_least_privileged() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":\d+\.\d+", service["image"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not str(service.get("user", "10001")).startswith("0") or name == "volumes", name


def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert sorted(ports) == ["127.0.0.1:5000:5000", "127.0.0.1:8265:8265"]


def test_compose_starts_nothing_before_its_settings_are_checked() -> None:
    settings = (DEPLOY / "settings.example.env").read_text()
    names = re.findall(r"^(\w+)=", settings, re.M)
    assert SERVICES["settings"]["command"] == ["check-settings", *names]

    def waits(name: str) -> bool:
        needs = SERVICES[name].get("depends_on", {})
        return "settings" in needs or any(waits(other) for other in needs)

    assert all(waits(name) for name in SERVICES if name != "settings")


def test_compose_secrets_are_variables_of_the_example() -> None:
    names = set(re.findall(r"^(\w+)=", (DEPLOY / "settings.example.env").read_text(), re.M))
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert used == names
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET", name):
                assert value.startswith("${"), name


def test_compose_names_volumes_networks_and_services_that_exist() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"]), name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), volume


def test_cloud_file_is_valid_to_ray() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(CLOUD, schema)
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        jsonschema.validate({**CLOUD, "max_worker": 3}, schema)


def test_cloud_nodes_trust_only_holders_of_the_token() -> None:
    starts = [
        line for name in ("head", "worker") for line in CLOUD[f"{name}_start_ray_commands"] if "ray start" in line
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "~/.ray/auth_token" in CLOUD["file_mounts"]
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_cloud_lets_in_ssh_from_the_private_network_only() -> None:
    (rule,) = CLOUD["provider"]["security_group"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (22, 22)
    assert all(block["CidrIp"].startswith("10.") for block in rule["IpRanges"])
    assert CLOUD["provider"]["use_internal_ips"] is True


def test_cloud_gpu_workers_are_spot_and_scale_from_zero() -> None:
    node = CLOUD["available_node_types"]["gpu-spot-worker"]
    assert node["min_workers"] == 0
    assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert all(
        one["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        for one in CLOUD["available_node_types"].values()
    )

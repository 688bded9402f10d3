"""MLflow behind TLS with an authority of one's own, and a Ray cluster whose nodes show each other certificates."""

import datetime
import http.server
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sparsweep.search.with_mlflow import Ledger, SweepFacts, reachable

TRUST = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Authority:
    """Signs certificates for this machine."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {folder.name}")])
        made = cls(folder, key, _signed(name, name, key, key, authority=True))
        made.path.write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def path(self) -> Path:
        return self.folder / "authority.pem"

    def issue(self, *addresses: str) -> tuple[Path, Path]:
        """Key and certificate of a server at these addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = _signed(name, self.certificate.subject, key, self.key, addresses=addresses)
        paths = (self.folder / f"{addresses[0]}.key.pem", self.folder / f"{addresses[0]}.pem")
        paths[0].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        paths[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return paths


def _signed(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *,
    authority: bool = False, addresses: tuple[str, ...] = (),
) -> x509.Certificate:  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )  # fmt: skip
    if addresses:
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        made = made.add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("localhost")]), critical=False)
    return made.sign(by, hashes.SHA256())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server that speaks TLS."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    key, certificate = authority.issue("127.0.0.1")
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts",
        "--uvicorn-opts", f"--ssl-keyfile {key} --ssl-certfile {certificate}",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    address = f"https://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.path))
                    reachable(address)
                break
            except ValueError:
                time.sleep(0.2)
        else:
            pytest.fail((folder / "log").read_text())
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(autouse=True)
def no_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TRUST:
        monkeypatch.delenv(name, raising=False)


def test_a_server_of_an_authority_that_is_named_is_recorded_to(
    server: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.path))
    reachable(server)
    facts = SweepFacts(name="tls", params={"a": 1}, fingerprint="f", seed=0, sweep_yaml="name: tls\n", environment={})
    ledger = Ledger.open(tracking_uri=server, artifact_root=None, facts=facts)
    assert ledger.client.get_run(ledger.run_id).data.params == {"a": "1"}


def test_an_unknown_authority_is_one_clear_message(server: str) -> None:
    with pytest.raises(
        ValueError, match=r"its certificate is not trusted \(.*\); name a file with the certificate of "
    ):
        reachable(server)


def test_so_is_another_authority(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(Authority.make(tmp_path / "other").path))
    with pytest.raises(ValueError, match="its certificate is not trusted"):
        reachable(server)


def test_so_is_another_name(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.path))
    key, certificate = authority.issue("10.9.8.7")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    impostor = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    impostor.socket = context.wrap_socket(impostor.socket, server_side=True)
    threading.Thread(target=impostor.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ValueError, match=r"its certificate is not trusted \(.*IP address mismatch"):
            reachable(f"https://127.0.0.1:{impostor.server_port}")
    finally:
        impostor.shutdown()
        impostor.server_close()


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
def test_so_is_a_certificate_file_that_is_none(
    variable: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "absent.pem"))
    with pytest.raises(ValueError, match=rf"{variable} .*absent.pem cannot be used .*: name a PEM file"):
        reachable(server)


def test_trust_can_be_waived(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    reachable(server)


def test_plain_http_to_a_tls_server_is_one_clear_message(server: str) -> None:
    with pytest.raises(ValueError, match=r"it answers, but not as an MLflow server does|no MLflow server answers"):
        reachable(server.replace("https", "http"))


TINY = """
name: tiny
task: {network: lenet-digits, data: digits}
methods: [magnitude]
constraints: ["accuracy >= 0.1"]
budget: {trials: 2, epochs: 1}
trial: {descent: nested, cuts: 2, finetune_epochs: 1}
timing: none
registry: {model: tiny, keep: 1}
"""
NODE = """
from ray._private import ray_constants, services
ray_constants.ENABLE_RAY_CLUSTER = True  # `ray start --address` refuses otherwise
services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
main()
"""


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_sweep_runs_on_two_nodes_that_show_each_other_certificates(authority: Authority, tmp_path: Path) -> None:
    key, certificate = authority.issue("127.0.0.1")
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "token").write_text("0123456789abcdef" * 3)
    port = free_port()
    plain = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "SPARSWEEP_"))},
        "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0",
        "SPARSWEEP_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    env = {
        **plain, "RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": str(certificate), "RAY_TLS_SERVER_KEY": str(key),
        "RAY_TLS_CA_CERT": str(authority.path),
    }  # fmt: skip
    common = ["--block", "--node-ip-address", "127.0.0.1", "--num-cpus", "1", "--object-store-memory", "80000000"]
    head = ["--head", "--port", str(port), "--include-dashboard", "false", "--temp-dir", f"/tmp/tls-{os.getpid()}"]
    nodes = [_node(tmp_path / "head.log", [*head, *common], env)]
    try:
        nodes.append(_node(tmp_path / "worker.log", ["--address", f"127.0.0.1:{port}", *common], env))
        words = ["run", "tiny.yaml", "--address", f"127.0.0.1:{port}", "--storage-path", str(tmp_path / "shared")]
        command = [sys.executable, "-m", "sparsweep.search.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        records = [json.loads(p.read_text()) for p in (tmp_path / "shared").glob("tiny/trials/*/result.json")]
        assert [record["state"] for record in records] == ["done", "done"]
        stranger = f"import ray; ray.init(address='127.0.0.1:{port}', log_to_driver=False); print('is in')"
        assert "is in" in _said([sys.executable, "-c", stranger], env)
        assert "is in" not in _said([sys.executable, "-c", stranger], plain)  # it waits in vain for a handshake
    finally:
        for node in reversed(nodes):
            os.killpg(node.pid, signal.SIGTERM)
        for node in nodes:
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()


def _said(command: list[str], env: dict[str, str]) -> str:
    """All that a program says within a minute."""
    program = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        return program.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        return program.communicate()[0]


def _node(log: Path, options: list[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A Ray node, once it runs."""
    with log.open("w") as file:
        node = subprocess.Popen(
            [sys.executable, "-c", NODE, "start", *options], env=env, stdout=file, stderr=file, start_new_session=True
        )
    for _ in range(900):
        if "Ray runtime started" in log.read_text():
            return node
        assert node.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(log.read_text())

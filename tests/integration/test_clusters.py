"""What docs/clusters.md says, and the files that it names."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.settings import KEY_NAMES
from runners.evolve import evolve
from standin import StandIn
from tests.conftest import look
from tests.integration.test_documents import commands, with_local_model
from tests.program import EXAMPLES, records, write
from tests.workers import Hired, hired

__all__ = ["hired"]

CLUSTERS = EXAMPLES / "clusters"


def test_every_command_of_the_page_runs(
    hired: Hired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEY_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / "data.json", records(3))
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    found = commands(["docs/clusters.md"])
    with StandIn() as one, StandIn() as two:
        for command in found:
            for name, server in (("one", one), ("two", two)):
                command = command.replace(f"http://{name}:8000/v1", server.base_url("vllm"))
            look(*shlex.split(with_local_model(command))[1:], cwd=tmp_path)
        assert one.chats() and two.chats()
    assert len(found) >= 2 and len(hired) == 6


def options(command: list[str]) -> dict[str, Any]:
    """Return what `coevol` makes of the words of a command."""
    assert command[:2] == ["coevol", "evolve"]
    return evolve.make_context("evolve", command[2:]).params


def test_the_manifest_for_kubernetes_is_whole() -> None:
    parts = list(yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text(encoding="utf-8")))
    volume, service, servers, job = parts
    assert [part["kind"] for part in parts] == ["PersistentVolumeClaim", "Service", "StatefulSet", "RayJob"]
    given = options(shlex.split(job["spec"]["entrypoint"]))
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert given["ray"] == "auto" and given["workers"] == workers["replicas"]
    name, replicas = service["metadata"]["name"], servers["spec"]["replicas"]
    assert given["base_urls"] == tuple(f"http://{name}-{n}.{name}:8000/v1" for n in range(replicas))
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert head["volumes"][0]["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    assert given["run"].is_relative_to(head["containers"][0]["volumeMounts"][0]["mountPath"])
    assert cluster["authOptions"] == {"mode": "token"}
    assert servers["spec"]["template"]["spec"]["containers"][0]["command"][2] == given["models"][0][5:]
    # Ray's images run as a user who may not write to a new volume, unless it has the user's group.
    assert head["securityContext"]["fsGroup"]


def test_on_kubernetes_the_command_waits_for_all_servers(tmp_path: Path) -> None:
    *_, job = yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text(encoding="utf-8"))
    (waits,) = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["initContainers"]
    # Each server is there when it is asked for the second time.
    wget = f'echo "$4" >> {tmp_path}/asked; [ $(grep -c "$4" {tmp_path}/asked) = 2 ]'
    for name, script in {"wget": wget, "sleep": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(waits["command"], env=path, check=True, timeout=60)
    urls = options(shlex.split(job["spec"]["entrypoint"]))["base_urls"]
    health = [url.removesuffix("/v1") + "/health" for url in urls]
    assert (tmp_path / "asked").read_text().split() == [url for url in health for _ in range(2)]


# Ray starts on each node and runs what stands after the dashes on the first one.
RAY = 'while [ "$1" != -- ]; do shift || exit 0; done 2>/dev/null; shift; printf "%s\\n" "$@"'


def slurm(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script for Slurm on two nodes, with these programs in place of Slurm's and others."""
    fakes = {"scontrol": "echo node1; echo node2", "openssl": "echo 0123456789abcdef", **programs}
    for name, script in fakes.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"}
    return subprocess.run(
        ["bash", CLUSTERS / "slurm.sh", "data.jsonl", "runs/big"],
        env={"PATH": f"{folder}:{os.environ['PATH']}", **slurm},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_script_for_slurm_runs_the_command_on_all_nodes(tmp_path: Path) -> None:
    ended = slurm(tmp_path, curl="exit 0", srun=RAY)
    assert ended.returncode == 0, ended.stderr
    given = options(ended.stdout.splitlines())
    assert given["base_urls"] == ("http://node1:8000/v1", "http://node2:8000/v1")
    assert (given["ray"], given["workers"], given["concurrency"]) == ("auto", 4, 512)


def test_on_slurm_a_server_that_does_not_start_ends_the_job(tmp_path: Path) -> None:
    serves = f'case "$*" in *node2*vllm*) exit 1;; *vllm*) exec {shutil.which("sleep")} 1;; esac; {RAY}'
    curl = 'case "$*" in *node2*) exit 22;; esac'
    ended = slurm(tmp_path, curl=curl, srun=serves, sleep="exit 0")
    assert ended.returncode
    assert not ended.stdout

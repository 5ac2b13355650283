"""Every deployment on every kind of work pool: what is described as data holds together, and a fault in it is found."""

from __future__ import annotations

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cvgl.config import PRESETS
from flows.cli.app import app
from tests.deployments.rendering import (
    POOLS,
    ROOT,
    Image,
    container_faults,
    deployment_faults,
    environment_placeholders,
    manifest_faults,
    placeholders,
    pod_faults,
    read_document,
    read_template,
    rendered,
    template_faults,
)

FILES = ("prefect.yaml", "arrival.yaml")
ENVIRONMENT = {"PWD": "/opt/cvgl", "CVGL_LAKE": "/lake", "CVGL_SOURCE": "/data/campus", "CVGL_DATASET": "campus"}
DEPLOYMENTS = [(file, entry) for file in FILES for entry in read_document(file)["deployments"]]
GPUS: dict[str, dict[str, Any]] = {
    "process": {},
    "docker": {"gpus": [{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]},
    "kubernetes": {"gpus": 1, "node_selector": {"gpu": "h100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
}
Change = Callable[[Any], object]


def changed(value: dict[str, Any], change: Change) -> dict[str, Any]:
    other = copy.deepcopy(value)
    change(other)
    return other


@pytest.mark.parametrize("pool", POOLS)
def test_template_is_whole_and_what_its_worker_understands(pool: str) -> None:
    assert list(template_faults(read_template(pool), pool)) == []


@pytest.mark.parametrize("gpus", [False, True])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("file", "deployment"), DEPLOYMENTS, ids=[described["name"] for _, described in DEPLOYMENTS])
def test_each_deployment_renders_on_each_pool(file: str, deployment: dict[str, Any], pool: str, gpus: bool) -> None:
    options_given = {**deployment["work_pool"]["job_variables"], **(GPUS[pool] if gpus else {})}
    job = rendered(read_template(pool), options_given)
    assert placeholders(job) == set()
    assert job["env"]["PREFECT_LOGGING_EXTRA_LOGGERS"] == "cvgl"
    if pool == "docker":
        assert list(container_faults(job)) == []
        assert ("device_requests" in job["container_create_kwargs"]) == gpus
    if pool == "kubernetes":
        assert list(manifest_faults(job["job_manifest"])) == []
        limits = job["job_manifest"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == (1 if gpus else None)


@pytest.mark.parametrize("file", FILES)
def test_deployments_can_be_loaded_and_their_parameters_are_valid(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert list(deployment_faults(read_document(file), ENVIRONMENT)) == []
    assert environment_placeholders((ROOT / "deployments" / file).read_text()) <= set(ENVIRONMENT)


def _properties(template: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = template["variables"]["properties"]
    return properties


@pytest.mark.parametrize(
    ("pool", "change", "fault"),
    [
        ("docker", lambda t: _properties(t).pop("image"), "placeholder image is not defined"),
        ("docker", lambda t: _properties(t).update(spare={"title": "S", "description": "s"}), "variable spare is not used"),
        ("docker", lambda t: _properties(t)["volumes"].update(default="cvgl-lake:/lake"), "default of volumes"),
        ("docker", lambda t: _properties(t)["image_pull_policy"].update(default="Sometimes"), "default of image_pull_policy"),
        ("docker", lambda t: t["job_configuration"].update(gpu="{{ gpus }}"), "the worker does not know gpu"),
        ("docker", lambda t: t["job_configuration"].update(image="other"), "image is not as the worker has it"),
        ("kubernetes", lambda t: _properties(t)["gpus"].pop("description"), "variable gpus has no description"),
        ("kubernetes", lambda t: _properties(t)["gpus"].update(type="whole"), "Invalid schema"),
        ("kubernetes", lambda t: t["job_configuration"]["job_manifest"]["spec"].pop("backoffLimit"), "spec.backoffLimit"),
        ("process", lambda t: _properties(t)["working_dir"].update(type="integer"), "not of the worker's type"),
        ("process", lambda t: t["job_configuration"].pop("working_dir"), "variable working_dir is not used"),
    ],
)
def test_fault_in_a_template_is_found(pool: str, change: Change, fault: str) -> None:
    assert any(fault in message for message in template_faults(changed(read_template(pool), change), pool))


@pytest.mark.parametrize(
    ("pool", "requested"),
    [
        ("process", {"gpus": 1}),
        ("docker", {"gpus": 1}),
        ("docker", {"gpus": [{"driver": "nvidia"}]}),
        ("docker", {"env": {"DO_NOT_TRACK": 1}}),
        ("kubernetes", {"gpus": 0}),
        ("kubernetes", {"memory_limit": 16}),
        ("kubernetes", {"tolerations": [{"effect": "Sometimes"}]}),
    ],
)
def test_variables_that_a_pool_does_not_take_are_refused(pool: str, requested: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is no|is not|required|less than"):
        rendered(read_template(pool), requested)


def _pod(template: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda t: _pod(t)["volumes"].pop(0), "mounts lake, which is no volume"),
        (lambda t: _pod(t)["containers"][0]["volumeMounts"].pop(0), "nothing is mounted at /lake"),
        (lambda t: _pod(t)["securityContext"].update(runAsUser=0), "does not run as the image's user"),
        (lambda t: _pod(t)["securityContext"].update(runAsNonRoot=False), "does not run as the image's user"),
        (lambda t: _properties(t)["memory_limit"].update(default="16 GB"), "limits of memory is no quantity"),
        (lambda t: t["job_configuration"]["job_manifest"].update(kind="Pod"), "not a batch/v1 Job"),
    ],
)
def test_fault_in_a_manifest_is_found(change: Change, fault: str) -> None:
    job = rendered(changed(read_template("kubernetes"), change), {})
    assert any(fault in message for message in manifest_faults(job["job_manifest"]))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda t: _properties(t)["volumes"]["default"].pop(0), "nothing is mounted at /lake"),
        (lambda t: _properties(t)["shared_memory"].update(default="much"), "Docker's client refuses it"),
        (lambda t: _properties(t)["mem_limit"].update(default="16 gigabytes"), "Docker's client refuses it"),
        (lambda t: t["job_configuration"]["container_create_kwargs"].update(gpu=1), "Docker's client refuses it"),
    ],
)
def test_fault_in_a_container_is_found(change: Change, fault: str) -> None:
    job = rendered(changed(read_template("docker"), change), {})
    assert any(fault in message for message in container_faults(job))


@pytest.mark.parametrize(
    ("file", "change", "fault"),
    [
        ("prefect.yaml", lambda d: d["deployments"][0].update(entrypoint="flows/gone.py:gone"), "does not exist"),
        ("prefect.yaml", lambda d: d["deployments"][0].update(entrypoint="flows/pipeline.py:gone"), "cannot be loaded"),
        ("prefect.yaml", lambda d: d["deployments"][1].update(name="pipeline"), "pipeline stands there twice"),
        ("prefect.yaml", lambda d: d["deployments"][1].pop("tags"), "has no tags"),
        ("prefect.yaml", lambda d: d["deployments"][0]["concurrency_limit"].update(collision_strategy="WAIT"), "concurrency"),
        ("prefect.yaml", lambda d: d["pull"].append({"step": "{{ $NOWHERE }}"}), "NOWHERE is not set"),
        ("arrival.yaml", lambda d: d["deployments"][0]["parameters"]["config"].update(spare=1), "parameters.config"),
        ("arrival.yaml", lambda d: d["deployments"][0]["parameters"]["config"].pop("ingest"), "'ingest' is a required"),
        (
            "arrival.yaml",
            lambda d: d["deployments"][0]["parameters"]["config"].update(align={"samples": 0}),
            "parameters.config.align.samples",
        ),
    ],
)
def test_fault_in_a_deployment_is_found(file: str, change: Change, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert any(fault in message for message in deployment_faults(changed(read_document(file), change), ENVIRONMENT))


IGNORED = (ROOT / "deployments" / "Dockerfile.dockerignore").read_text()


def test_image_can_be_built_from_what_it_is_sent() -> None:
    image = Image.read()
    assert list(image.faults(IGNORED)) == []
    extras = next(argument.partition("=")[2] for argument in image.all("ARG") if argument.startswith("EXTRAS=")).split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(extras) <= set(project["project"]["optional-dependencies"])
    built = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], *project["project"]["license-files"]}
    assert {*built, project["project"]["readme"], "deployments"} <= set(image.copied)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    wanted = [argument for extra in extras for argument in project["project"]["optional-dependencies"][extra]]
    names = {re.split(r"[<>=\[ ]", argument)[0] for argument in [*project["project"]["dependencies"], *wanted]}
    assert names <= set(pinned)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("COPY tasks ./tasks", "COPY task ./tasks", "COPY task: there is none"),
        ("COPY tasks ./tasks", "COPY tests ./tests", "COPY tests: is not sent"),
        ("pyproject.toml constraints.txt", "pyproject.toml", "constraints.txt is not in the image"),
        ("--constraint constraints.txt --editable", "--editable", "packages are not pinned"),
        ("mkdir -p /lake /models", "mkdir -p /lake", "a volume has no folder"),
        ("\nFROM cvgl\n", "\nFROM other\n", "FROM other: no such stage"),
        ("USER cvgl", "USER root", "USER: root"),
        ("WORKDIR /opt/cvgl", "WORKDIR /srv", "ENV PWD"),
    ],
)
def test_fault_in_the_image_is_found(old: str, new: str, fault: str) -> None:
    text = (ROOT / "deployments" / "Dockerfile").read_text()
    assert old in text
    assert any(fault in message for message in Image(text.replace(old, new)).faults(IGNORED))


def test_entry_points_are_found_in_what_the_image_holds(tmp_path: Path) -> None:
    for source in Image.read().copied:
        copy_ = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy_(ROOT / source, tmp_path / source)
    modules = {
        deployment["entrypoint"].partition(":")[0].removesuffix(".py").replace("/", ".") for _, deployment in DEPLOYMENTS
    }
    code = f"import {', '.join(sorted(modules))}; print(flows.__file__)"
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


def ray_job() -> dict[str, Any]:
    job: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / "pools" / "ray.yaml").read_text())
    return job


def ray_faults(job: dict[str, Any]) -> list[str]:
    spec = job["spec"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    faults = [fault for group in groups for fault in pod_faults(group["template"]["spec"])]
    claims = {
        name: field["default"] for name, field in _properties(read_template("kubernetes")).items() if name.endswith("_claim")
    }
    for group in groups:
        named = {
            field["persistentVolumeClaim"]["claimName"]
            for field in group["template"]["spec"]["volumes"]
            if len(field) == 2 and "persistentVolumeClaim" in field
        }
        faults += [f"{claim} is not mounted" for claim in claims.values() if claim not in named]
    gpus = sum(
        int(container["resources"]["limits"].get("nvidia.com/gpu", 0)) * group.get("replicas", 1)
        for group in groups
        for container in group["template"]["spec"]["containers"]
    )
    program, *arguments = shlex.split(spec["entrypoint"])
    if gpus < float(arguments[arguments.index("--shard-gpus") + 1]):
        faults.append("no node has the GPU that a shard waits for")
    if "entrypointNumGpus" in spec:
        faults.append("the planner takes a GPU from the shards")
    if arguments[arguments.index("--runner") + 1 :][:3] != ["ray", "--cluster", "auto"]:
        faults.append("the shards do not go to this cluster")
    answer = CliRunner().invoke(app, [*arguments, "--help"])
    if program != "cvgl" or answer.exit_code:
        faults.append(f"the entry point is no command: {answer.output}")
    if arguments[arguments.index("--lake") + 1] not in Image.read().volumes:
        faults.append("the lake is on no volume")
    if arguments[arguments.index("--backbone") + 1] not in PRESETS:
        faults.append("no such preset")
    return faults


def test_ray_job_runs_the_image_with_the_lake_and_a_gpu() -> None:
    assert (ray_job()["apiVersion"], ray_job()["kind"]) == ("ray.io/v1", "RayJob")
    assert ray_faults(ray_job()) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda j: j["spec"].update(entrypoint=j["spec"]["entrypoint"] + " --shard 4"), "is no command"),
        (lambda j: j["spec"].update(entrypoint=j["spec"]["entrypoint"].replace("/lake", "/home/cvgl")), "on no volume"),
        (lambda j: j["spec"].update(entrypointNumGpus=1), "takes a GPU from the shards"),
        (lambda j: j["spec"].update(entrypoint=j["spec"]["entrypoint"].replace("gpus 1", "gpus 8")), "no node has the GPU"),
        (
            lambda j: j["spec"].update(entrypoint=j["spec"]["entrypoint"].replace("--runner ray", "--runner dask")),
            "this cluster",
        ),
        (lambda j: j["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"].update(volumes=[]), "no volume"),
    ],
)
def test_fault_in_the_ray_job_is_found(change: Change, fault: str) -> None:
    assert any(fault in message for message in ray_faults(changed(ray_job(), change)))

"""Deployments and work pools as the server, the workers and Docker would read them; every fault that is found, in words.

Nothing is started: the templates of Prefect's worker types come with Prefect itself, and so do the schema checks of its server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from docker.models.containers import _create_container_args
from prefect import Flow
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from prefect.utilities.templating import PlaceholderType, apply_values, find_placeholders

ROOT = Path(__file__).resolve().parents[2]
POOLS = ("process", "docker", "kubernetes")
# What Prefect's Docker worker takes beyond the template that the server carries (prefect-docker 0.6).
BEYOND = {"docker": {"container_create_kwargs"}}
QUANTITY = re.compile(r"^\d+(\.\d+)?(m|[kKMGT]i?)?$")


def read_template(name: str) -> dict[str, Any]:
    """A pool's base job template, as `prefect work-pool create --base-job-template` is given it."""
    template: dict[str, Any] = json.loads((ROOT / "deployments" / "pools" / f"{name}.json").read_text())
    return template


@cache
def prefects_own(worker: str) -> dict[str, Any]:
    """The template that Prefect has for a type of worker."""
    views = files("prefect.server.api") / "collections_data" / "views" / "aggregate-worker-metadata.json"
    workers = {kind: description for package in json.loads(views.read_text()).values() for kind, description in package.items()}
    own: dict[str, Any] = workers[worker]["default_base_job_configuration"]
    return own


@cache
def flow_of(entrypoint: str) -> Flow[..., Any]:
    return load_flow_from_entrypoint(entrypoint)


def placeholders(value: Any) -> set[str]:
    """Names of all placeholders in nested values."""
    if isinstance(value, Mapping):
        return set().union(*map(placeholders, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(placeholders, value)) if value else set()
    return {placeholder.name for placeholder in find_placeholders(value)} if isinstance(value, str) else set()


def template_faults(template: Mapping[str, Any], worker: str) -> Iterator[str]:
    """What is wrong with a pool's template by itself, and against Prefect's own for the type of worker."""
    configuration, schema, own = template["job_configuration"], template["variables"], prefects_own(worker)
    variables = schema["properties"]
    used = placeholders(configuration)
    yield from (f"placeholder {name} is not defined" for name in sorted(used - set(variables)))
    yield from (f"variable {name} is not used" for name in sorted(set(variables) - used))
    try:
        is_valid_schema(schema)
    except ValueError as error:
        yield str(error)
        return
    for name, variable in variables.items():
        yield from (f"variable {name} has no {key}" for key in ("title", "description") if not variable.get(key))
    defaults = {name: variable["default"] for name, variable in variables.items() if "default" in variable}
    yield from (f"default of {'.'.join(map(str, error.path))}: {error.message}" for error in validate(defaults, schema))
    known_names = set(own["job_configuration"]) | BEYOND.get(worker, set())
    yield from (f"the worker does not know {name}" for name in sorted(set(configuration) - known_names))
    yield from (f"{path} is not as the worker has it" for path in _lost(own["job_configuration"], configuration))
    for name, variable in own["variables"]["properties"].items():
        if variables.get(name, {}).get("type") != variable.get("type"):
            yield f"variable {name} is not of the worker's type"


def _lost(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Parts of Prefect's template that ours lacks or changed; more may be there."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for name, value in theirs.items():
            yield from _lost(value, ours.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (first, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _lost(first, other, f"{path}.{number}")
    elif theirs != ours:
        yield path


def rendered(template: Mapping[str, Any], requested: Mapping[str, Any]) -> dict[str, Any]:
    """The job that a worker would start, from a template and a deployment's job variables.

    Raises:
        ValueError: the server would refuse the variables.
    """
    schema = template["variables"]
    defaults = {name: field["default"] for name, field in schema["properties"].items() if field.get("default") is not None}
    values = {**defaults, **requested, "env": {**defaults.get("env", {}), **requested.get("env", {})}}
    unknown = sorted(set(values) - set(schema["properties"]) - {"env"})
    faults = [*(f"{name} is no variable" for name in unknown), *(error.message for error in validate(values, schema))]
    if faults:
        raise ValueError("; ".join(faults))
    job: dict[str, Any] = apply_values(dict(template["job_configuration"]), values)
    return job


def manifest_faults(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a Kubernetes cluster would refuse, or not be able to run, of a rendered job."""
    if (manifest.get("apiVersion"), manifest.get("kind")) != ("batch/v1", "Job"):
        yield "not a batch/v1 Job"
    yield from pod_faults(manifest["spec"]["template"]["spec"])


def pod_faults(pod: Mapping[str, Any]) -> Iterator[str]:
    user = pod.get("securityContext", {})
    image = Image.read()
    if not user.get("runAsNonRoot") or user.get("runAsUser") != image.uid:
        yield f"does not run as the image's user {image.uid}"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
        yield from (f"mounts {name}, which is no volume" for name in sorted(set(mounts) - volumes))
        yield from (f"volume {name} is not mounted" for name in sorted(volumes - set(mounts)))
        yield from (f"nothing is mounted at {path}" for path in sorted(set(image.volumes) - set(mounts.values())))
        for kind, amounts in container.get("resources", {}).items():
            wrong = [name for name, amount in amounts.items() if not QUANTITY.match(str(amount))]
            yield from (f"{kind} of {name} is no quantity" for name in wrong)


def container_faults(job: Mapping[str, Any]) -> Iterator[str]:
    """What Docker's own client would refuse of a rendered container, or what the image would lack."""
    more = job.get("container_create_kwargs", {})
    try:
        _create_container_args(
            {
                "image": job["image"],
                "command": job.get("command"),
                "environment": job["env"],
                "volumes": job["volumes"],
                "mem_limit": job["mem_limit"],
                "version": "1.45",
                **more,
            }
        )
    except Exception as error:  # noqa: BLE001 # whatever the client says is the fault
        yield f"Docker's client refuses it: {error}"
    inside = {volume.split(":")[1] for volume in job["volumes"] if ":" in volume}
    yield from (f"nothing is mounted at {path}" for path in sorted(set(Image.read().volumes) - inside))


def deployment_faults(document: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a file of deployments, where `environment` is set."""
    PrefectYamlModel.model_validate(document)
    names = [deployment["name"] for deployment in document["deployments"]]
    yield from (f"{name} stands there twice" for name in sorted({name for name in names if names.count(name) > 1}))
    for deployment in [*document["deployments"], {"name": "pull", "steps": document.get("pull")}]:
        missing = {name.lstrip("$") for name in placeholders(deployment) if name.lstrip("$") not in environment}
        yield from (f"{deployment['name']}: {name} is not set" for name in sorted(missing))
    for deployment in document["deployments"]:
        yield from (f"{deployment['name']}: {fault}" for fault in _faults_of(deployment, environment))


def _faults_of(deployment: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    yield from (f"has no {key}" for key in ("description", "tags", "work_pool") if not deployment.get(key))
    if isinstance(limit := deployment.get("concurrency_limit"), dict):
        strategies = [strategy.value for strategy in ConcurrencyOptions.model_fields["collision_strategy"].annotation]
        if limit.get("limit", 0) < 1 or limit.get("collision_strategy") not in strategies:
            yield "its concurrency limit is none"
    file, _, function = deployment["entrypoint"].partition(":")
    if not (ROOT / file).is_file():
        yield f"{file} does not exist"
        return
    try:
        flow = flow_of(f"{ROOT / file}:{function}")
    except Exception as error:  # noqa: BLE001 # whatever its import raises is the fault
        yield f"{deployment['entrypoint']} cannot be loaded: {error}"
        return
    parameters = apply_values(dict(deployment.get("parameters", {})), dict(environment))
    schema = parameter_schema(flow).model_dump_for_openapi()
    for problem in validate(parameters, schema, ignore_required=not parameters):
        yield f"parameters.{'.'.join(map(str, problem.path))}: {problem.message}"


def form_faults(schema: Mapping[str, Any]) -> Iterator[str]:
    """What a person would miss in a form drawn from a flow's parameters."""
    definitions = schema.get("definitions", {})
    groups = {
        "parameters": schema,
        **{name: definition for name, definition in definitions.items() if "properties" in definition},
    }
    for group, definition in groups.items():
        for name, field in definition["properties"].items():
            merged = {**_referred(field, definitions), **field}
            yield from (f"{group}.{name} has no {key}" for key in ("title", "description") if not merged.get(key))
            if group != "parameters" and "default" in field:
                yield f"{group}.{name} is filled in, as if it were given"
            if isinstance(field.get("default"), dict) and field["default"]:
                yield f"{group}.{name} is filled in, as if it were given"
    for name, definition in definitions.items():
        if not definition.get("enum") and "properties" not in definition and name != "JsonValue":
            yield f"{name} is neither a group that can be opened nor a choice"


def _referred(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    definition: Mapping[str, Any] = definitions.get(field.get("$ref", "").removeprefix("#/definitions/"), {})
    return definition


class Image:
    """deployments/Dockerfile, instruction by instruction."""

    def __init__(self, text: str) -> None:
        lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        joined = re.sub(r"\\\n\s*", " ", lines)
        self.instructions = [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]

    @classmethod
    def read(cls) -> Image:
        return cls((ROOT / "deployments" / "Dockerfile").read_text())

    def all(self, name: str) -> list[str]:
        return [rest for instruction, rest in self.instructions if instruction == name]

    @property
    def uid(self) -> int:
        return int(next(argument.partition("=")[2] for argument in self.all("ARG") if argument.startswith("UID=")))

    @property
    def volumes(self) -> list[str]:
        return [path for argument in self.all("VOLUME") for path in json.loads(argument)]

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for argument in self.all("ENV") for pair in argument.split())

    @property
    def copied(self) -> list[str]:
        return [source for argument in self.all("COPY") for source in argument.split()[:-1]]

    def faults(self, ignored: str) -> Iterator[str]:
        """What a build would stumble over, or a run in it.

        Args:
            ignored: the text of the file that says what is not sent to the builder.
        """
        admitted = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
        for source in self.copied:
            if not (ROOT / source).exists():
                yield f"COPY {source}: there is none"
            if source.rstrip("/") not in admitted:
                yield f"COPY {source}: is not sent to the builder"
        stages = [argument.split() for argument in self.all("FROM")]
        named = [words[2] for words in stages if len(words) == 3]
        yield from (f"FROM {argument}: no such stage" for argument, *_ in stages[1:] if argument not in named)
        for run in self.all("RUN"):
            for path in re.findall(r"--constraint (\S+)", run):
                if path not in self.copied:
                    yield f"RUN: {path} is not in the image"
            if "pip install" in run and "--constraint" not in run:
                yield "RUN: packages are not pinned"
            made = {path for path in self.volumes if f"mkdir -p {' '.join(self.volumes)}" in run}
            if "mkdir" in run and made != set(self.volumes):
                yield "RUN: a volume has no folder"
        if self.all("USER")[-1] in ("root", "0"):
            yield "USER: root"
        if self.environment.get("PWD") != self.all("WORKDIR")[-1]:
            yield "ENV PWD: not the working folder"


def environment_placeholders(text: str) -> set[str]:
    """Environment variables that a file of deployments asks for."""
    return {
        placeholder.name.lstrip("$") for placeholder in find_placeholders(text) if placeholder.type is PlaceholderType.ENV_VAR
    }


def read_document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / name).read_text())
    return document

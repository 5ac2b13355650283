"""What an installation has and what it can reach: `cvgl doctor`. Nothing is created or changed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib import request

from cvgl.config import RegisterConfig
from cvgl.errors import CvglError
from cvgl.lake import Lake, leftovers

SECONDS_TO_ANSWER = 5.0
_DISTRIBUTION = "cvgl"
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?P<bounds>[^;]*)(;.*extra == [\"'](?P<extra>[^\"']+)[\"'])?")


class Verdict(StrEnum):
    """How a check came out."""

    GOOD = "good"
    NOTE = "note"  # something that only some commands need is not there
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        subject: what.
        verdict: how it came out.
        detail: what was found.
        fix: what to do; empty where all is well.
    """

    subject: str
    verdict: Verdict
    detail: str
    fix: str = ""


def diagnose(lake: Lake, tracking_uri: str | None = None) -> list[Check]:
    """Looks at the packages, the device, the lake, the registry, and whether maps and registry agree.

    Args:
        lake: may not exist yet.
        tracking_uri: of the registry; default: the lake's own.
    """
    registry = _registry(lake, tracking_uri)
    maps = _maps(lake, tracking_uri) if registry.verdict is not Verdict.BAD else ()
    return [*_packages(), _device(), *_lake(lake), registry, *maps]


def _packages() -> Iterator[Check]:
    yield Check("python", Verdict.GOOD, platform.python_version())
    try:
        required = importlib.metadata.requires(_DISTRIBUTION) or []
        yield Check(_DISTRIBUTION, Verdict.GOOD, importlib.metadata.version(_DISTRIBUTION))
    except importlib.metadata.PackageNotFoundError:
        yield Check(_DISTRIBUTION, Verdict.BAD, "is not installed, only found on the path", "pip install -e '.[pipeline]'")
        return
    for line in required:
        match = _REQUIREMENT.match(line)
        if match is not None and match["extra"] in (None, "pipeline"):
            yield _package(match["name"], match["bounds"].strip(), match["extra"])


def _package(name: str, bounds: str, extra: str | None) -> Check:
    fix = f"pip install '{_DISTRIBUTION}[{extra}]'" if extra else f"pip install '{name}{bounds}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        detail = f"is not installed; needed by the commands of the extra '{extra}'" if extra else "is not installed"
        return Check(name, Verdict.NOTE if extra else Verdict.BAD, detail, fix)
    if not _lies_within(version, bounds):
        return Check(name, Verdict.BAD, f"{version}, and {bounds} is needed", f"pip install '{name}{bounds}'")
    return Check(name, Verdict.GOOD, version)


def _lies_within(version: str, bounds: str) -> bool:
    """Whether a version is one of those asked for; yes where nothing can tell."""
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ModuleNotFoundError:
        return True
    try:
        return SpecifierSet(bounds).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _device() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that torch loads is missing
        return Check("device", Verdict.BAD, f"torch cannot be loaded: {error}", "install torch again")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Check("device", Verdict.GOOD, f"cuda: {names}")
    threads = f"cpu, {torch.get_num_threads()} threads"
    if torch.version.cuda is None:
        return Check("device", Verdict.GOOD, f"{threads}; this torch is built without CUDA")
    return Check(
        "device",
        Verdict.NOTE,
        f"{threads}; torch is built for CUDA {torch.version.cuda} and finds no device",
        "if there is a GPU, look at nvidia-smi and CUDA_VISIBLE_DEVICES",
    )


def _lake(lake: Lake) -> Iterator[Check]:
    if not lake.root.exists():
        above = next(folder for folder in lake.root.parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            yield Check("lake", Verdict.BAD, f"{lake.root} cannot be made: {above} is not writable", "give another --lake")
        else:
            yield Check("lake", Verdict.NOTE, f"{lake.root} is not there yet", "cvgl ingest SOURCE --dataset NAME makes it")
        return
    if not os.access(lake.root, os.R_OK | os.X_OK):
        yield Check("lake", Verdict.BAD, f"{lake.root} cannot be read", "mend its rights, or give another --lake")
        return
    try:
        names = lake.datasets()
    except (CvglError, OSError) as error:
        yield Check("lake", Verdict.BAD, f"{lake.root} cannot be listed: {error}", "check the disk")
        return
    holds = f"{lake.root}: {', '.join(names) or 'no dataset yet'}"
    if os.access(lake.root, os.W_OK):
        yield Check("lake", Verdict.GOOD, holds)
    else:
        why = "localize, query, maps and arrivals work; to write, mend its rights or its mount"
        yield Check("lake", Verdict.NOTE, f"{holds}; read-only for this user", why)
    left = sum(1 for _ in leftovers(lake))
    if left:
        why = "none of a running process; `cvgl watch --once` removes those of killed ones"
        yield Check("temporary files", Verdict.NOTE, f"{left} in the lake", why)


def _registry(lake: Lake, tracking_uri: str | None) -> Check:
    uri = tracking_uri or f"sqlite:///{lake.mlflow_database}"
    if uri.startswith(("http://", "https://")):
        return _server(uri)
    if uri.startswith("sqlite:///"):
        return _database(Path(uri.removeprefix("sqlite:///")), is_own=tracking_uri is None)
    return Check("registry", Verdict.NOTE, f"{uri} is an address that is not looked at here", "cvgl ui opens it")


def _maps(lake: Lake, tracking_uri: str | None) -> Iterator[Check]:
    """Whether the registry, the file that says which map serves, and that map agree."""
    from tasks.registry.recovery import look

    config = RegisterConfig(tracking_uri=tracking_uri)
    for dataset in lake.mapped():
        subject, address = f"map of {dataset}", f" --tracking-uri {tracking_uri}" if tracking_uri else ""
        try:
            disagreements = look(dataset, lake, config)
        except CvglError as error:
            yield Check(subject, Verdict.NOTE, f"cannot be compared with the registry: {error.what}", error.fix)
            continue
        if disagreements:
            mend = f"cvgl maps --dataset {dataset} --repair{address}"
            yield Check(subject, Verdict.BAD, "; ".join(disagreements), mend)
        else:
            yield Check(subject, Verdict.GOOD, "agrees with the registry")


def _server(uri: str) -> Check:
    fix = "start the server (cvgl ui serves the lake's own), or mend --tracking-uri"
    try:
        with request.urlopen(f"{uri.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER) as answer:  # noqa: S310 # http(s) only
            status = answer.status
    except (OSError, ValueError) as error:
        return Check("registry", Verdict.BAD, f"{uri} does not answer: {getattr(error, 'reason', error)}", fix)
    if status != 200:
        return Check("registry", Verdict.BAD, f"{uri} answers with {status}", fix)
    return Check("registry", Verdict.GOOD, f"{uri} answers")


def _database(path: Path, *, is_own: bool) -> Check:
    if not path.is_file():
        verdict = Verdict.NOTE if is_own else Verdict.BAD
        return Check("registry", verdict, f"{path} is not there yet", "cvgl run makes it with the first adapter")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=SECONDS_TO_ANSWER)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            count = (
                connection.execute("SELECT count(*) FROM model_versions").fetchone()[0] if "model_versions" in tables else None
            )
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Check("registry", Verdict.BAD, f"{path} is no database that can be read: {error}", "restore it from a backup")
    if count is None:
        return Check("registry", Verdict.BAD, f"{path} is not MLflow's database", "mend --tracking-uri")
    return Check("registry", Verdict.GOOD, f"{path}: {count} model versions")

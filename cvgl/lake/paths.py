"""Where everything of a lake lies. Every name that a person gives and that becomes a part of a path is checked here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cvgl.errors import ConfigError, UsageError

_LONGEST = 255  # bytes of one name on every file system that lakes are kept on
_SEPARATORS = "/\\\0"
_PATTERNS = "*?["  # folders of a lake are looked for by patterns, in which these stand for other names
_SPARE = len(".tmp-12345678")  # what a file that is being written, or was set aside, bears besides its name


def checked_name(name: str, kind: str, *, prefix: str = "", suffix: str = "") -> str:
    """A name that is one part of a path, with what stands before and behind it.

    Args:
        name: as a person gave it.
        kind: what it names, for the message: ``"run"``.
        prefix, suffix: what the lake adds.

    Raises:
        UsageError: it could lead out of its folder, or no file system takes it.
    """
    whole = f"{prefix}{name}{suffix}"
    problem = ""
    if not name:
        problem = "is empty"
    elif any(character in name for character in _SEPARATORS) or name.startswith("."):
        problem = "is a path or a hidden name"
    elif any(character in name for character in _PATTERNS):
        problem = f"holds one of {' '.join(_PATTERNS)}"
    elif not name.isprintable():
        problem = "holds control characters"
    elif len(whole.encode()) > _LONGEST - _SPARE:
        problem = f"is longer than {_LONGEST - _SPARE - len(prefix) - len(suffix)} bytes"
    if problem:
        raise UsageError(
            f"the name of a {kind} {problem}: {name[:80]!r}", where=kind, fix=f"give the name of a {kind} as the lake lists it"
        )
    return whole


@dataclass(frozen=True, slots=True)
class Lake:
    """Paths of one lake. Making one touches nothing on disk.

    Methods that take a name raise a UsageError for one that is not a single part of a path.
    """

    root: Path

    @classmethod
    def at(cls, location: str | Path) -> Lake:
        """A lake at a local path.

        Raises:
            ConfigError: `location` is a URL, or an existing file.
        """
        text = str(location)
        if "://" in text:
            raise ConfigError(
                f"the lake '{text}' is a URL, and this version keeps lakes on local disks only",
                where="--lake",
                fix="give a local or mounted folder",
            )
        root = Path(text).expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise ConfigError("the lake must be a folder, but this is a file", where=root, fix="give another --lake")
        return cls(root)

    def images(self, dataset: str) -> Path:
        """Folder of the tables of images."""
        return self._of_dataset("images", dataset)

    def ground_truth(self, dataset: str) -> Path:
        """Folder of the tables of labels and true positions."""
        return self._of_dataset("ground_truth", dataset)

    def quarantine(self, dataset: str) -> Path:
        """Folder of the tables of refused files."""
        return self._of_dataset("quarantine", dataset)

    def tombstones(self, dataset: str) -> Path:
        """Folder of the tables of deleted and replaced references."""
        return self._of_dataset("tombstones", dataset)

    def decisions(self, dataset: str) -> Path:
        """Folder of the tables of decisions about batches."""
        return self._of_dataset("decisions", dataset)

    def arrivals(self, dataset: str) -> Path:
        """Batches of what arrived: see `cvgl.arrival.batches`."""
        return self._of_dataset("arrivals", dataset)

    def costs(self, dataset: str) -> Path:
        """Folder of the measured costs of steps."""
        return self._of_dataset("costs", dataset)

    def alignments(self, dataset: str) -> Path:
        """Folder of the alignment records."""
        return self._of_dataset("alignments", dataset)

    def scans(self, dataset: str) -> Path:
        """What is known about source files by name, size and time: a cache, safe to delete."""
        return self.root / "cache" / "scans" / checked_name(dataset, "dataset", prefix="dataset=")

    def source(self, dataset: str) -> Path:
        """The settings that a dataset was last ingested with."""
        return self.root / "sources" / checked_name(dataset, "dataset", suffix=".json")

    def features(self, fingerprint: str, dataset: str) -> Path:
        """Folder of the descriptors of a data set by one frozen model."""
        model = checked_name(fingerprint, "frozen model", prefix="model=")
        return self.root / "features" / model / checked_name(dataset, "dataset", prefix="dataset=")

    def described(self, dataset: str) -> dict[str, Path]:
        """The folders of a dataset's features, by the fingerprint of the frozen model."""
        name = checked_name(dataset, "dataset", prefix="dataset=")
        folders = sorted((self.root / "features").glob(f"model=*/{name}"))
        return {folder.parent.name.removeprefix("model="): folder for folder in folders}

    def vocabulary(self, digest: str) -> Path:
        """File of the visual words."""
        return self.root / "vocabularies" / checked_name(digest, "vocabulary", suffix=".safetensors")

    def adapter(self, run: str) -> Path:
        """Folder of an adapter."""
        return self.root / "adapters" / checked_name(run, "run")

    def evaluation(self, run: str) -> Path:
        """Folder of the figures of a run."""
        return self.root / "evaluations" / checked_name(run, "run")

    def report(self, run: str) -> Path:
        """Folder of the report of a run."""
        return self.root / "reports" / checked_name(run, "run")

    def quality(self, run: str) -> Path:
        """What is said of a run without labels."""
        return self.root / "quality" / checked_name(run, "run", suffix=".json")

    def gate(self, run: str) -> Path:
        """The gate's last judgement of a run, with the rows that it used."""
        return self.root / "gate" / checked_name(run, "run")

    def registration(self, run: str) -> Path:
        """What the registry and its gate said of a run, for readers without the registry."""
        return self.root / "registrations" / checked_name(run, "run", suffix=".json")

    def map(self, dataset: str) -> Path:
        """Versions of a dataset's map, each a folder: see `cvgl.localization.bundle`."""
        return self._of_dataset("maps", dataset)

    def map_version(self, dataset: str, version: str) -> Path:
        """One version of a dataset's map."""
        return self.map(dataset) / checked_name(version, "version of a map")

    def mapped(self) -> list[str]:
        """Names of the datasets that have a map, sorted."""
        return sorted(path.name.removeprefix("dataset=") for path in (self.root / "maps").glob("dataset=*"))

    def champion(self, dataset: str) -> Path:
        """Which version of a map serves: a small JSON file that the gate moves."""
        return self.map(dataset) / "current.json"

    def lock(self, name: str) -> Path:
        """A lock file."""
        return self.root / "locks" / checked_name(name, "lock", suffix=".lock")

    @property
    def prefect_home(self) -> Path:
        """Folder of Prefect's database and logs."""
        return self.root / "prefect"

    @property
    def mlflow_database(self) -> Path:
        """File of MLflow's database."""
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.root / "mlflow" / "artifacts"

    def datasets(self) -> list[str]:
        """Names of the datasets that have been ingested, sorted."""
        return sorted(path.name.removeprefix("dataset=") for path in (self.root / "images").glob("dataset=*"))

    def _of_dataset(self, table: str, dataset: str) -> Path:
        return self.root / table / checked_name(dataset, "dataset", prefix="dataset=")

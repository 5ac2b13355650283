"""Secrets of a source: read in the task that uses them, in nothing that is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cvgl.arrival import batches
from cvgl.errors import ConfigError, RegistryError
from cvgl.lake import Lake
from tasks.registry.store import named_uri
from tasks.secrets import holds_plain_secrets, read_secret, refuse_stored_secrets
from tests.arrival.sources import DATASET, town, watching

WORD = "hunter2-9f3aQz"
ACCESS = "AKIAHUNTER29F3A"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Address of a bucket with a few images, and of its server."""
    boto3 = pytest.importorskip("boto3", reason="needs moto[s3], of the extra dev")
    moto = pytest.importorskip("moto.server", reason="needs moto[s3], of the extra dev")
    pytest.importorskip("s3fs", reason="needs s3fs, of the extra s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint, name = f"http://{host}:{port}", f"drop-{uuid4().hex}"
    client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106 # moto
    client.create_bucket(Bucket=name)
    folder = town(tmp_path / "drop", range(1, 3), views=1)
    for path in folder.rglob("*.png"):
        client.put_object(Bucket=name, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
    yield f"s3://{name}", endpoint
    server.stop()


def _holding(root: Path, *words: str) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and any(word.encode() in path.read_bytes() for word in words)
    ]


def _flow_of(config: Any) -> object:
    """A flow whose parameter is the settings and whose task looks at the source, as `arrival` and `notice` do."""
    from flows.arrival import notice

    return notice(config)


@pytest.mark.parametrize("kind", ["plain", "environment", "block"])
def test_a_secret_is_nowhere_in_the_lake_or_the_engines_database(
    prefect_api: str, bucket: tuple[str, str], lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from prefect.blocks.system import Secret

    from flows.cli.engine import deliver

    address, endpoint = bucket
    word, access = f"{WORD}-{kind}", f"{ACCESS}{kind.upper()}"
    monkeypatch.setenv("CVGL_TEST_SECRET", word)
    if kind == "block":
        Secret(value="kept-by-prefect").save("cvgl-test", overwrite=True)
    environment = {"plain": word, "environment": "env:CVGL_TEST_SECRET", "block": "secret:cvgl-test"}[kind]
    options = {"endpoint_url": endpoint, "key": access if kind == "plain" else "env:CVGL_TEST_SECRET", "secret": environment}
    config = watching(address, lake, watch={"storage_options": options})
    _flow_of(config)
    bad = watching(address, lake, watch={"storage_options": {**options, "endpoint_url": f"http://me:{word}@127.0.0.1:9"}})
    with pytest.raises(Exception, match="cannot be reached") as raised:
        _flow_of(bad)
    assert word not in str(raised.value)
    deliver()
    assert [batch.n_files for batch in batches.batches(lake, DATASET)] == [4]
    home = Path(os.environ["PREFECT_HOME"])
    assert (home / "prefect.db").is_file()
    assert _holding(lake.root, word, access) == []
    assert _holding(home, word, access) == []


def test_a_password_in_an_address_is_in_no_record(lake: Lake, tmp_path: Path) -> None:
    from cvgl.arrival.source import RemoteSource
    from cvgl.arrival.watching import look

    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe(f"/{tmp_path.name}/satellite/1.png", b"picture")
    source = RemoteSource.at(f"memory://{tmp_path.name}?token={WORD}", {})
    assert WORD not in repr(source) + source.location
    config = watching(f"memory://{tmp_path.name}", lake)
    assert look(config, lake).closed is not None
    assert _holding(lake.root, WORD) == []


def test_where_a_dataset_came_from_is_kept_without_its_password(lake: Lake) -> None:
    from cvgl.config import IngestConfig
    from tasks.sources import remember

    remember(IngestConfig(source=f"https://user:{WORD}@host/drop", dataset="y"), lake)
    assert _holding(lake.root, WORD) == []


def test_a_deployments_parameters_may_hold_no_secret(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = watching("s3://b", lake, watch={"storage_options": {"secret": WORD}})
    named = watching("s3://b", lake, watch={"storage_options": {"secret": "env:X", "token": "anon"}})
    address = watching(f"sftp://u:{WORD}@h/x", lake)
    assert [holds_plain_secrets(config) for config in (plain, named, address)] == [True, False, True]
    refuse_stored_secrets(plain)  # in a process of the command's own they are only used
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a-deployment")
    refuse_stored_secrets(named)
    for config in (plain, address):
        with pytest.raises(ConfigError) as raised:
            refuse_stored_secrets(config)
        assert WORD not in str(raised.value)


def test_a_block_that_is_not_there_says_how_to_make_it(prefect_api: str) -> None:
    with pytest.raises(ConfigError, match="no Secret block 'nobody'") as raised:
        read_secret("nobody")
    assert "Secret(" in raised.value.fix


def test_the_registrys_address_may_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVGL_TEST_URI", f"postgresql://me:{WORD}@db/mlflow")
    assert named_uri("env:CVGL_TEST_URI") == f"postgresql://me:{WORD}@db/mlflow"
    assert named_uri("sqlite:////x/y.db") == "sqlite:////x/y.db"
    assert named_uri(None) is None
    for wrong in ("env:CVGL_NOT_SET", "postgresql://me:***@db/mlflow"):
        with pytest.raises(RegistryError):
            named_uri(wrong)

"""Passwords, signatures and tokens: out of every text, and of no text that holds none."""

from __future__ import annotations

import json
import pickle

import pytest

from cvgl.arrival.credentials import resolved
from cvgl.arrival.source import UnreachableError, reaching, source_digest
from cvgl.config import ArrivalConfig, IngestConfig, RegisterConfig
from cvgl.errors import ConfigError, DataError
from cvgl.hashing import digest_json
from cvgl.masking import is_reference, masked, masked_options, scrubbed, secret_values, without_secrets

WORD = "hunter2-9f3aQz"
ADDRESSES = (
    f"s3://key:{WORD}@bucket/flights",
    f"s3://AKIA:ab/{WORD}+c@bucket/flights",
    f"https://user:{WORD}@host:8443/drop?part=1",
    f"sftp://user:p@ss{WORD}@host/drop",
    f"https://host/drop/a.png?X-Amz-Algorithm=x&X-Amz-Signature={WORD}&X-Amz-Date=1",
    f"https://account.blob.core.windows.net/c?sv=2020&sig={WORD}",
    f"postgresql+psycopg2://mlflow:{WORD}@db:5432/mlflow",
    f"http://:{WORD}@127.0.0.1:4200/api",
    f"https://host/api?access_token={WORD}",
)
HARMLESS = (
    "s3://bucket/flights",
    "sftp://user@host/drop",
    "http://minio:9000/bucket/a@b.png",
    "file:///data/a:b@c",
    "sqlite:////data/a@b/mlflow.db",
    "https://host/tiles?zoom=3&key_frame=2",
    "/data/drop: 3 of 4 files; key = value",
    "reads host:port@place",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_secret_of_an_address_is_left(address: str) -> None:
    for text in (masked(address), without_secrets(address), str(DataError(address, where=address, fix=address))):
        assert WORD not in text
    assert "***" in masked(address)
    assert "***" not in without_secrets(address)
    assert masked(masked(address)) == masked(address)
    assert WORD not in str(pickle.loads(pickle.dumps(DataError("x", where=address))))  # our own


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_stays(text: str) -> None:
    assert masked(text) == text
    assert without_secrets(text) == text
    assert source_digest(text) == digest_json(text)  # a spool of an earlier version is found


def test_who_a_source_is_does_not_depend_on_its_password() -> None:
    assert source_digest(f"sftp://user:{WORD}@host/drop") == source_digest("sftp://user:other@host/drop")
    assert source_digest(f"sftp://user:{WORD}@host/drop") == source_digest("sftp://user@host/drop")


OPTIONS = {
    "key": f"AKIA{WORD}",
    "secret": WORD,
    "token": "anon",
    "anon": False,
    "endpoint_url": f"http://me:{WORD}@minio:9000",
    "client_kwargs": {"aws_secret_access_key": WORD, "region_name": "eu-1"},
    "password": "env:SFTP_PASSWORD",
    "account_key": "secret:azure",
    "sas_token": {"secret": "sas"},
    "headers": {"Authorization": f"Bearer {WORD}"},
    "connection_string": f"AccountKey={WORD};Endpoint=x",
    "key_filename": "/home/me/.ssh/id",
    "username": "me",
}


def test_options_are_masked_and_references_stay() -> None:
    stored = masked_options(OPTIONS)
    assert WORD not in json.dumps(stored)
    for name in ("token", "anon", "password", "account_key", "sas_token", "username", "key_filename"):
        assert stored[name] == OPTIONS[name]
    assert stored["client_kwargs"]["region_name"] == "eu-1"
    assert [value for value in secret_values(OPTIONS) if WORD not in value] == []
    assert scrubbed(f"InvalidKey: AKIA{WORD} at http://x", secret_values(OPTIONS)) == "InvalidKey: *** at http://x"


def test_settings_keep_secrets_for_use_and_show_them_nowhere() -> None:
    config = ArrivalConfig.model_validate(
        {
            "ingest": {"source": ADDRESSES[0], "dataset": "town"},
            "watch": {"storage_options": OPTIONS},
            "registry": {"tracking_uri": ADDRESSES[6]},
        }
    )
    assert config.ingest.source == ADDRESSES[0]
    assert config.watch.storage_options["secret"] == WORD
    assert config.registry.tracking_uri == ADDRESSES[6]
    assert WORD not in config.model_dump_json()
    assert WORD not in json.dumps(config.model_dump(mode="json", exclude_unset=True))
    assert WORD not in repr(config) + str(config)
    assert WORD not in repr([IngestConfig(source=ADDRESSES[2], dataset="x"), RegisterConfig(tracking_uri=ADDRESSES[2])])


def test_settings_without_secrets_are_stored_as_before() -> None:
    values = {"ingest": {"source": "s3://b/x", "dataset": "town"}, "watch": {"storage_options": {"endpoint_url": "http://h:9"}}}
    assert ArrivalConfig.model_validate(values).model_dump(mode="json", exclude_unset=True) == values


def test_references_are_read_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", WORD)
    assert resolved({"a": "env:SFTP_PASSWORD", "b": {"c": "secret:x"}, "d": {"secret": "y"}, "e": 1}, str.upper) == {
        "a": WORD,
        "b": {"c": "X"},
        "d": "Y",
        "e": 1,
    }
    assert is_reference("env:X")
    assert not is_reference("https://env:x@h")


@pytest.mark.parametrize(
    "options", [{"key": "env:CVGL_NOT_SET"}, {"key": "secret:x"}, {"secret": "***"}, {"a": {"token": "***"}}]
)
def test_a_secret_that_is_not_there_is_an_error_that_says_what_to_give(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(options)
    assert raised.value.where == "watch.storage_options"
    assert raised.value.fix


def test_messages_of_other_packages_lose_the_secret() -> None:
    with pytest.raises(UnreachableError) as raised, reaching("s3://b", [WORD]):
        raise OSError(f"InvalidAccessKeyId {WORD}")
    assert WORD not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__

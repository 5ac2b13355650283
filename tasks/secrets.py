"""Prefect's Secret blocks, read when they are used; what they hold is never a parameter of a run."""

from __future__ import annotations

from cvgl.arrival.credentials import FIX
from cvgl.config import ArrivalConfig
from cvgl.errors import ConfigError
from cvgl.masking import holds_secret, secret_values


def read_secret(name: str) -> str:
    """The value of a Secret block.

    Raises:
        ConfigError: there is none of that name.
    """
    from prefect.blocks.system import Secret

    try:
        block = Secret.load(name)
    except ValueError as error:  # what Prefect raises for a block that is not there
        raise ConfigError(
            f"there is no Secret block '{name}'",
            where="watch.storage_options",
            fix=f'make it: from prefect.blocks.system import Secret; Secret(value="...").save("{name}")',
        ) from error
    return str(block.get())  # type: ignore[union-attr] # `load` is not asynchronous here


def refuse_stored_secrets(config: ArrivalConfig) -> None:
    """Refuses secrets that a deployment's run has as parameters: they stand in the server's database.

    Raises:
        ConfigError: there are some, and the run is a deployment's.
    """
    from prefect.runtime import deployment

    if deployment.id is not None and holds_plain_secrets(config):
        raise ConfigError(
            "a deployment's parameters hold a secret, and Prefect's database keeps them as they are",
            where="watch.storage_options" if secret_values(config.watch.storage_options) else "ingest.source",
            fix=f"{FIX}, and change the secret, which has been stored",
        )


def holds_plain_secrets(config: ArrivalConfig) -> bool:
    """Whether settings hold a secret itself, rather than where it is."""
    return bool(secret_values(config.watch.storage_options)) or holds_secret(config.ingest.source)

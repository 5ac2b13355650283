"""`python -m flows` is `cvgl`."""

from flows.cli.app import app

app(prog_name="cvgl")

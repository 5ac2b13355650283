"""`python -m flows` is `cvgl`."""

from flows.cli import app

app(prog_name="cvgl")

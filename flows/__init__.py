"""Prefect flows: one for each stage, the pipeline, and the arrival of new imagery. The command is in `flows.cli`."""

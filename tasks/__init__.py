"""Prefect tasks: one library call each, with retries, progress and artifacts."""

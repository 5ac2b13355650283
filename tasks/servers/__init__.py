"""Processes that serve pages and APIs of one lake on this machine: Prefect, MLflow."""

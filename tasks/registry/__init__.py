"""The model registry: MLflow runs, the adapter as a model, and the aliases that say which version serves.

`tasks.registry.store` opens the registry, `tracking` records a run, `model` turns an adapter into an MLflow model,
`promotion` moves the aliases on evidence. Importing the package imports no MLflow.
"""

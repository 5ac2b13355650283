"""New imagery: noticed in a source, closed into batches, taken in, and decided upon.

    source -> watching -> batches (the queue) -> intake -> deciding -> the stages of a run

`source` lists files, here or at an address; `watching` tells what is complete; `batches` holds the queue as files of the
lake, each moved on atomically; `intake` brings one batch into the dataset, tombstones included; `deciding` compares what
came with what the champion has learned from. What then adapts, evaluates and registers are the flows that exist.
"""

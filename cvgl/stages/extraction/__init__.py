"""Images in, frozen descriptors out: in one process, in parts, or in shards on a cluster."""

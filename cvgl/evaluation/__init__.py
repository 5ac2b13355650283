"""What labels say of an adapter: the retrieval task, its figures, and two runs on the same queries. Reads ground truth."""

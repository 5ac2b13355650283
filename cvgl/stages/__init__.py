"""What each stage reads from the lake and writes to it; free of Prefect and of labels but for `ingest`, which writes them."""

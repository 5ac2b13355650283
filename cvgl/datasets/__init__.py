"""From other people's pictures to rows in the lake. Ground truth has a module of its own, which nothing here imports."""

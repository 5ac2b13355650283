"""From image files, tables and side files to rows of the lake; labels go to `ground_truth`, which only evaluation reads."""

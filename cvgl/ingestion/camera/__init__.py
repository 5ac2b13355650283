"""What cameras write into images, and what it means: containers, XMP, positions, clocks; see `cvgl.ingestion.exif`."""

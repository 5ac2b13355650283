"""What cameras write into pictures, and what it means: containers, XMP, positions, clocks; see `cvgl.ingestion.exif`."""

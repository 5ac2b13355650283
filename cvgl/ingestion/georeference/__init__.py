"""Where an image lies by its own tags and the files beside it: GeoTIFF, GeoJP2, `.aux.xml`, world files, `.prj`."""

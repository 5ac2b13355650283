#!/usr/bin/env bash
# contextily 1.7.1 writes a basemap (bounds2raster) half a pixel too far north-west: it takes the edges of the tiles for the centres of the
# outer pixels. The extent that the same call returns is the right one. Positions matched against such a map are off by half its pixel each
# way.
# Seen at zoom 15, where a pixel is 4.78 m: the file's corner lies 2.39 m west and 2.39 m north of the tile's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check contextily==1.7.1 rasterio==1.4.4 mercantile==1.2.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import contextily
import mercantile
import rasterio
from PIL import Image

stream = io.BytesIO()
Image.new("RGB", (256, 256)).save(stream, "PNG")


class Tiles(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(stream.getvalue())

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
threading.Thread(target=server.serve_forever, daemon=True).start()
path = sys.argv[1] + "/map.tif"
tile = mercantile.tile(13.4, 52.5, 15)
west, south, east, north = mercantile.bounds(tile)
inside = (west + 1e-4, south + 1e-4, east - 1e-4, north - 1e-4)
_, extent = contextily.bounds2raster(*inside, path, zoom=15, source=f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png", ll=True)
server.shutdown()
true = mercantile.xy_bounds(tile)
with rasterio.open(path) as file:
    pixel = file.transform.a
    shift = (file.bounds.left - true.left, file.bounds.top - true.top)
print(f"pixel {pixel:.3f} m, the file's corner is off by {shift[0]:.3f} m east and {shift[1]:.3f} m north")
print(f"the extent returned is off by {extent[0] - true.left:.6f} m")
assert abs(shift[0] + pixel / 2) < 1e-6
assert abs(shift[1] - pixel / 2) < 1e-6
assert abs(extent[0] - true.left) < 1e-6
PYTHON

#!/usr/bin/env bash
# trimesh 5.2.0 writes PLY with 32-bit coordinates, though the mesh in memory and the format have 64: northings in UTM fall on a grid of
# half a metre, and neighbouring vertices may fall together. OBJ and OFF of the same mesh, being text, keep the digits.
# Seen: 5820072.19 comes back from PLY as 5820072.0, from OBJ and OFF as 5820072.19.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check trimesh==5.2.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io

import trimesh

CORNERS = [[391772.47, 5820072.19, 1.0], [391773.47, 5820072.19, 1.0], [391773.47, 5820073.19, 1.0]]
mesh = trimesh.Trimesh(vertices=CORNERS, faces=[[0, 1, 2]], process=False)
seen = {}
for kind in ("ply", "obj", "off"):
    written = mesh.export(file_type=kind)
    stream = io.BytesIO(written if isinstance(written, bytes) else written.encode())
    seen[kind] = float(trimesh.load_mesh(stream, file_type=kind, process=False).vertices[0][1])
    print(kind, seen[kind])
assert seen == {"ply": 5820072.0, "obj": 5820072.19, "off": 5820072.19}
PYTHON

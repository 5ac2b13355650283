"""Where a raster says that it lies, by files that GDAL wrote and by tags spelt out."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cvgl.ingestion.entries import Georeference, PositionSource
from cvgl.ingestion.georeference.rasters import Header, read_aux_xml, read_own
from tests.data import rasters
from tests.data.rasters import HEIGHT, KEYS, KEYS_UTM, KEYS_UTM_POINT, NORTH_UP, UTM, WIDTH, plain, raster, tagged


def own(path: Path) -> Georeference | None:
    with path.open("rb") as stream:
        return read_own(stream).georeference


def centre(georeference: Georeference | None) -> tuple[float, float]:
    assert georeference is not None
    assert georeference.transform is not None, georeference.problem
    a, b, c, d, e, f = georeference.transform
    return a * WIDTH / 2 + b * HEIGHT / 2 + c, d * WIDTH / 2 + e * HEIGHT / 2 + f


SINE, COSINE = math.sin(0.5), math.cos(0.5)
TURNED = (2 * COSINE, 2 * SINE, 500_000.0, 2 * SINE, -2 * COSINE, 5_200_000.0)


@pytest.mark.parametrize(
    ("transform", "middle"),
    [
        (NORTH_UP, (500_030.0, 5_199_980.0)),
        ((2.0, 0.0, 500_000.0, 0.0, 2.0, 5_200_000.0), (500_030.0, 5_200_020.0)),  # south up
        ((-2.0, 0.0, 500_000.0, 0.0, -2.0, 5_200_000.0), (499_970.0, 5_199_980.0)),  # mirrored
        (TURNED, (500_000 + 30 * COSINE + 20 * SINE, 5_200_000 + 30 * SINE - 20 * COSINE)),
        ((2.0, 0.5, 500_000.0, 0.25, -3.0, 5_200_000.0), (500_035.0, 5_199_973.75)),  # sheared
    ],
)
def test_the_middle_of_a_geotiff(tmp_path: Path, transform: Sequence[float], middle: tuple[float, float]) -> None:
    read = own(raster(tmp_path / "a.tif", transform))
    assert read is not None
    assert (read.source, read.crs, read.problem) == (PositionSource.GEOTIFF, UTM, "")
    assert centre(read) == pytest.approx(middle, abs=1e-6)


@pytest.mark.parametrize(
    "options", [{"driver": "COG"}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"tiled": True, "compress": "deflate"}]
)
def test_every_kind_of_tiff(tmp_path: Path, options: dict[str, Any]) -> None:
    read = own(raster(tmp_path / "a.tif", **options))
    assert read is not None
    assert read.crs == UTM
    assert centre(read) == pytest.approx((500_030, 5_199_980))


def test_a_jpeg_2000(tmp_path: Path) -> None:
    read = own(raster(tmp_path / "a.jp2", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES"))
    assert read is not None
    assert (read.source, read.crs) == (PositionSource.GEOJP2, UTM)
    assert centre(read) == pytest.approx((500_030, 5_199_980))


def test_pixel_is_point_is_half_a_pixel_off(tmp_path: Path) -> None:
    tags = {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 500_000.0, 5_200_000.0, 0)}
    area = own(tagged(tmp_path / "area.tif", {**tags, KEYS: KEYS_UTM}))
    point = own(tagged(tmp_path / "point.tif", {**tags, KEYS: KEYS_UTM_POINT}))
    assert centre(area) == pytest.approx((500_030, 5_199_980))
    assert centre(point) == pytest.approx((500_029, 5_199_981))
    # Written by GDAL, the tie point is moved on writing and back on reading.
    written = own(raster(tmp_path / "gdal.tif", tags={"AREA_OR_POINT": "Point"}))
    assert centre(written) == pytest.approx((500_030, 5_199_980))


def test_a_matrix_instead_of_a_scale(tmp_path: Path) -> None:
    matrix = (1.0, 1.0, 0, 500_000.0, 1.0, -1.0, 0, 5_200_000.0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert centre(own(tagged(tmp_path / "a.tif", {rasters.MATRIX: matrix, KEYS: KEYS_UTM}))) == (500_025, 5_200_005)


def points(crs: str, *rows: tuple[float, float, float, float]) -> dict[str, Any]:
    from rasterio.control import GroundControlPoint

    return {"crs": crs, "transform": None, "gcps": [GroundControlPoint(*row) for row in rows]}


CORNERS = ((0, 0, 8.0, 47.0), (0, 30, 8.003, 47.0), (20, 0, 8.0, 46.998), (20, 30, 8.003, 46.998))


def test_ground_control_points(tmp_path: Path) -> None:
    read = own(raster(tmp_path / "a.tif", **points("EPSG:4326", *CORNERS)))
    assert read is not None
    assert read.crs == "EPSG:4326"
    assert centre(read) == pytest.approx((8.0015, 46.999), abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (CORNERS[:1], "fewer than three"),
        (((0, 0, 8.0, 47.0), (10, 10, 8.001, 47.001), (20, 20, 8.002, 47.002)), "one line"),
        ((*CORNERS[:3], (20, 30, 8.004, 46.998)), "no plane"),
    ],
)
def test_ground_control_points_that_place_nothing(
    tmp_path: Path, rows: Sequence[tuple[float, float, float, float]], words: str
) -> None:
    read = own(raster(tmp_path / "a.tif", **points("EPSG:4326", *rows)))
    assert read is not None
    assert read.transform is None
    assert words in read.problem


@pytest.mark.parametrize(
    ("crs", "stored"),
    [
        ("EPSG:4326", "EPSG:4326"),
        ("EPSG:4258", "EPSG:4258"),
        ("EPSG:3035", "EPSG:3035"),
        ("EPSG:32632+5773", "EPSG:32632"),  # heights are no business of ours
        ('LOCAL_CS["site",UNIT["metre",1]]', "local"),
        (None, None),
    ],
)
def test_the_crs_as_it_is_stored(tmp_path: Path, crs: str | None, stored: str | None) -> None:
    read = own(raster(tmp_path / "a.tif", crs=crs))
    assert read is not None
    assert read.crs == stored


def test_nothing_is_made_of_an_image_without_a_position(tmp_path: Path) -> None:
    for name in ("a.tif", "a.jpg", "a.png", "a.webp", "a.bmp", "a.jp2"):
        assert own(plain(tmp_path / name)) is None
    assert own(raster(tmp_path / "none.tif", None, None)) is None


@pytest.mark.parametrize(
    "tags",
    [
        {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: (1, 1, 0, 30, *KEYS_UTM[4:])},
        {rasters.SCALE: (math.nan, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: KEYS_UTM},
        {rasters.SCALE: (0.0, 0.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: KEYS_UTM},
        # GDAL gives the corner as 0, 0 and says nothing.
        {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5), KEYS: KEYS_UTM},
        {rasters.RPC: (1.0,) * 92},
    ],
)
def test_tags_that_place_nothing_say_why(
    tmp_path: Path, tags: dict[int, Sequence[float]], capfd: pytest.CaptureFixture[str]
) -> None:
    read = own(tagged(tmp_path / "a.tif", tags))
    assert read is not None
    assert read.transform is None
    assert read.problem
    assert "/vsi" not in read.problem
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("count", [0, 64, 48_129])
def test_what_libgeotiff_would_print_itself_is_not_reached(
    tmp_path: Path, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = (*KEYS_UTM[:14], count, 32632)
    tags = {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: keys}
    read = own(tagged(tmp_path / "a.tif", tags))
    assert read is not None
    assert (read.transform, bool(read.problem)) == (None, True)
    assert capfd.readouterr() == ("", "")


def test_words_of_gdal_that_are_no_text_stay_off_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = raster(tmp_path / "a.tif")
    data = path.read_bytes()
    place = data.index(b"WGS 84 / UTM zone 32N|")
    for offset in range(22):
        path.write_bytes(data[: place + offset] + b"\xf6" + data[place + offset + 1 :])
        own(path)
    assert capfd.readouterr() == ("", "")


def test_messages_of_gdal_reach_other_readers_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import rasterio

    bad = tagged(
        tmp_path / "a.tif",
        {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: (1, 1, 0, 30, *KEYS_UTM[4:])},
    )
    with caplog.at_level(logging.DEBUG):
        own(bad)
    assert not [record for record in caplog.records if record.name.startswith("rasterio") and record.levelno >= logging.INFO]
    with caplog.at_level(logging.WARNING), rasterio.open(bad):
        pass
    assert [record for record in caplog.records if record.name.startswith("rasterio")]


def test_no_second_file_is_read(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", None, None)
    rasters.aux_xml(path, UTM, NORTH_UP)
    rasters.world_file(tmp_path / "a.tfw")
    assert own(path) is None


def test_a_virtual_raster_is_not_opened(tmp_path: Path) -> None:
    raster(tmp_path / "real.tif")
    path = tmp_path / "a.tif"
    path.write_text('<VRTDataset rasterXSize="30" rasterYSize="20"><SRS>EPSG:32632</SRS></VRTDataset>')
    with path.open("rb") as stream:
        assert read_own(stream) == Header()


def test_further_pages_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rasters.image().save(path, save_all=True, append_images=[rasters.image(1), rasters.image(2)])
    with path.open("rb") as stream:
        assert read_own(stream).pages == 2


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    paths = [raster(tmp_path / f"{i}.tif", (2.0, 0.0, 500_000.0 + i, 0.0, -2.0, 5_200_000.0)) for i in range(8)]
    with ThreadPoolExecutor(4) as threads:
        assert (
            list(threads.map(lambda path: centre(own(path)), paths * 5)) == [(500_030.0 + i, 5_199_980.0) for i in range(8)] * 5
        )


WKT = (
    'PROJCS["WGS_1984_UTM_Zone_32N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",9.0],'
    'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
)


def test_an_aux_xml_as_gdal_writes_it(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.png", driver="PNG")
    read = read_aux_xml((tmp_path / "a.png.aux.xml").read_bytes())
    assert read == Georeference(PositionSource.AUX_XML, NORTH_UP, UTM)
    assert own(path) is None


def test_an_aux_xml_states_x_before_y_whatever_the_order_of_the_axes() -> None:
    data = b'<PAMDataset><SRS dataAxisToSRSAxisMapping="2,1">EPSG:4326</SRS><GeoTransform>8,1e-5,0,47,0,-1e-5</GeoTransform>'
    read = read_aux_xml(data + b"</PAMDataset>")
    assert read == Georeference(PositionSource.AUX_XML, (1e-5, 0.0, 8.0, 0.0, -1e-5, 47.0), "EPSG:4326")


def test_an_aux_xml_with_control_points_of_arcgis() -> None:
    doubles = ["".join(f"<Double>{number}</Double>" for number in numbers) for numbers in (
        (0, 0, 30, 0, 0, -20), (500_000, 5_200_000, 500_060, 5_200_000, 500_000, 5_199_960)
    )]  # fmt: skip
    data = (
        '<PAMDataset><Metadata domain="xml:ESRI" format="xml"><GeodataXform xsi:type="typens:PolynomialXform"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:typens="http://www.esri.com/schemas/ArcGIS/9.3">'
        f"<PolynomialOrder>1</PolynomialOrder><SpatialReference><WKT>{WKT}</WKT></SpatialReference>"
        f"<SourceGCPs>{doubles[0]}</SourceGCPs><TargetGCPs>{doubles[1]}</TargetGCPs></GeodataXform></Metadata></PAMDataset>"
    )
    read = read_aux_xml(data.encode())
    assert read is not None
    assert read.crs == UTM
    assert centre(read) == pytest.approx((500_030, 5_199_980))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<PAMDataset><SRS>EPSG:32632",
        b"<PAMDataset><SRS>nonsense</SRS></PAMDataset>",
        b"<PAMDataset><SRS>EPSG:32632</SRS><GeoTransform>1,2,3</GeoTransform></PAMDataset>",
        b"<PAMDataset><GeoTransform>8,x,0,47,0,-1</GeoTransform></PAMDataset>",
        b"<PAMDataset><GeoTransform>8,0,0,47,0,0</GeoTransform></PAMDataset>",
        b'<!DOCTYPE a [<!ENTITY b "EPSG:32632">]><PAMDataset><SRS>&b;</SRS></PAMDataset>',
    ],
)
def test_an_aux_xml_without_sense_says_so(data: bytes) -> None:
    read = read_aux_xml(data)
    assert read is not None
    assert read.transform is None
    assert read.problem


@pytest.mark.parametrize("data", [b"<PAMDataset><Metadata/></PAMDataset>", b"<metadata><SRS>EPSG:32632</SRS></metadata>"])
def test_an_aux_xml_of_other_things_says_nothing(data: bytes) -> None:
    assert read_aux_xml(data) is None


def test_the_real_geotiff(shared: Path) -> None:
    read = own(shared / "data/geotiff_video/ground.tif")
    assert read is not None
    assert read.crs == "EPSG:32643"
    assert read.transform == pytest.approx((0.5, 0, 313_101.47628, 0, -0.5, 3_724_912.30675))


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        ((1024, 0, 1, 1), (1024, 0, 64, 1)),
        ((1024, 0, 1, 1), (1024, 7, 1, 1)),
        ((1025, 0, 1, 1), (1025, 34736, 1, 1)),
        ((3072, 0, 1, 32632), (3072, 0, 0, 32632)),
    ],
)
def test_damaged_keys_are_seen_before_gdal_sees_them(
    tmp_path: Path, driver: str, sound: Sequence[int], damaged: Sequence[int], capfd: pytest.CaptureFixture[str]
) -> None:
    path = raster(tmp_path / ("a.tif" if driver == "GTiff" else "a.jp2"), driver=driver)
    data = path.read_bytes()
    assert data.count(struct.pack("<4H", *sound)) == 1
    path.write_bytes(data.replace(struct.pack("<4H", *sound), struct.pack("<4H", *damaged)))
    read = own(path)
    assert read is not None
    assert (read.transform, bool(read.problem)) == (None, True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("end", [4, 8, 20, 100, 200])
@pytest.mark.parametrize("options", [{"driver": "GTiff"}, {"BIGTIFF": "YES"}, {"driver": "JP2OpenJPEG"}])
def test_a_header_that_ends_early_places_nothing(
    tmp_path: Path, options: dict[str, Any], end: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = raster(tmp_path / "a", **options)
    path.write_bytes(path.read_bytes()[:end])
    read = own(path)
    assert read is None or read.transform is None
    assert capfd.readouterr() == ("", "")

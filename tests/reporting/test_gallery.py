"""Tiles and strips of images, also of images that are gone, damaged or hostile."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl.errors import DataError
from cvgl.reporting import LIGHT, Example, Strip, Tile, retrieval_gallery, to_png
from cvgl.reporting.gallery import thumbnail, thumbnail_or_reason, thumbnail_uri
from tests.data.images import place_image, save


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


class TestThumbnails:
    def test_is_a_small_square_jpeg(self, tmp_path: Path) -> None:
        uri = thumbnail_uri(save(place_image(1, size=300).resize((300, 150)), tmp_path / "a.jpg"), 64)
        assert uri is not None
        assert uri.startswith("data:image/jpeg;base64,")
        assert decoded(uri).size == (64, 64)
        assert len(uri) < 8_000

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "CMYK"])
    def test_any_mode(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / f"a.{'tif' if mode in ('I;16', 'CMYK') else 'png'}"
        Image.new(mode, (20, 30)).save(path)
        image = thumbnail(path, 16)
        assert image is not None
        assert (image.mode, image.size) == ("RGB", (16, 16))

    def test_upright(self, tmp_path: Path) -> None:
        picture = Image.new("RGB", (40, 40))
        picture.paste((255, 255, 255), (0, 0, 40, 20))  # white above
        exif = Image.Exif()
        exif[0x0112] = 3  # turned by half a turn
        picture.save(tmp_path / "a.jpg", exif=exif)
        image = thumbnail(tmp_path / "a.jpg", 40)
        assert image is not None
        assert np.asarray(image)[5, 20].max() < 50

    @pytest.mark.parametrize("content", [None, b"", b"not an image", b"\xff\xd8\xff\xe0 cut"])
    def test_gone_or_damaged_is_none(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "a.jpg"
        if content is not None:
            path.write_bytes(content)
        assert thumbnail(path, 16) is None
        assert thumbnail_uri(path) is None
        assert thumbnail(None, 16) is None

    def test_decompression_bomb_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(place_image(1), tmp_path / "a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert thumbnail(path, 16) is None

    def test_damaged_exif_does_not_matter(self, tmp_path: Path) -> None:
        stream = io.BytesIO()
        broken = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x02\x13\0\x0c\xff\xff\xff\xff\0\0\0\x01"
        place_image(1, size=40).save(stream, "JPEG", exif=broken)
        (tmp_path / "a.jpg").write_bytes(stream.getvalue())
        assert thumbnail(tmp_path / "a.jpg", 16) is not None

    @pytest.mark.parametrize(("error"), [KeyError("x"), TypeError("x"), AttributeError("x"), ZeroDivisionError("x")])
    def test_whatever_exif_does_the_report_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        path = save(place_image(1, size=40), tmp_path / "a.jpg")

        def fail(self: object) -> object:
            raise error

        monkeypatch.setattr(Image.Image, "getexif", fail)
        assert thumbnail(path, 16) is not None

    def test_formats_that_are_not_let_in_are_not_opened(self, tmp_path: Path) -> None:
        for kind in ("ICO", "PCX", "TGA", "EPS"):
            path = tmp_path / "a.jpg"
            place_image(1, size=32).save(path, kind)
            assert thumbnail_or_reason(path, 16) == "no picture's content", kind


class TestRetrievalGallery:
    def example(self, folder: Path, answers: int = 3) -> Example:
        tiles = tuple(
            Tile(save(place_image(n), folder / f"{n}.png"), f"0.{n}", correct=[True, False, None][n % 3])
            for n in range(answers)
        )
        return Example(Tile(save(place_image(9), folder / "q.png"), "query"), (Strip("frozen", tiles), Strip("adapted", tiles)))

    def test_frames_tell_right_from_wrong_without_colour(self, tmp_path: Path) -> None:
        figure = retrieval_gallery([self.example(tmp_path)])
        frames = figure.axes[0].patches
        assert len(frames) == 7
        assert [frame.get_linestyle() for frame in frames[1:3]] == ["-", (0, (3, 1.5))]
        labels = [text.get_text() for text in figure.axes[0].texts]
        assert {"✓ 0.0", "✗ 0.1", "0.2", "query", "frozen", "adapted"} <= set(labels)

    def test_right_frame_has_the_right_colour(self, tmp_path: Path) -> None:
        from matplotlib.colors import to_hex

        frames = retrieval_gallery([self.example(tmp_path)]).axes[0].patches
        assert [to_hex(frame.get_edgecolor()) for frame in frames[1:4]] == [LIGHT.right, LIGHT.wrong, LIGHT.grid]

    def test_images_that_are_gone_leave_a_note(self, tmp_path: Path) -> None:
        gone = Tile(tmp_path / "gone.png", "x", correct=True)
        figure = retrieval_gallery([Example(gone, (Strip("frozen", (gone,)),))])
        assert [text.get_text() for text in figure.axes[0].texts].count("no\npicture") == 2

    def test_a_tile_says_why_there_is_no_image(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"text")
        figure = retrieval_gallery([Example(Tile(tmp_path / "a.jpg", "x"), ())])
        assert "no picture's content" in [text.get_text() for text in figure.axes[0].texts]

    def test_uneven_examples(self, tmp_path: Path) -> None:
        examples = [self.example(tmp_path, 3), self.example(tmp_path, 1), Example(Tile(None, "alone"), ())]
        assert to_png(retrieval_gallery(examples), 50) == to_png(retrieval_gallery(examples), 50)

    def test_nothing_to_show(self) -> None:
        with pytest.raises(DataError, match="no example"):
            retrieval_gallery([])

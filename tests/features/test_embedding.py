"""Alignment, batches and memory: the path from images to descriptors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvgl.config import AlignmentConfig
from cvgl.errors import ModelError
from cvgl.features import embed_images, fingerprint
from cvgl.features.alignment import crop, model_inputs, passes
from cvgl.features.batches import BatchSize, embed_all
from cvgl.types import View
from tests.data.images import place_image
from tests.features.fake import FakeEmbedder


@pytest.mark.parametrize(
    ("view", "share", "size", "box"),
    [
        (View.DRONE, 1.0, (60, 60), (0, 0, 60, 60)),
        (View.DRONE, 0.5, (60, 60), (15, 15, 45, 45)),
        (View.DRONE, 1.0, (80, 60), (10, 0, 70, 60)),
        (View.DRONE, 0.5, (80, 60), (25, 15, 55, 45)),
        (View.SATELLITE, 0.5, (60, 60), (0, 0, 60, 60)),
        (View.SATELLITE, 1.0, (60, 90), (0, 15, 60, 75)),
        (View.GROUND, 1.0, (200, 40), (0, 0, 200, 40)),
        (View.GROUND, 0.5, (200, 40), (50, 10, 150, 30)),
    ],
)
def test_what_is_cut_out(view: View, share: float, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    cut = crop(Image.fromarray(values), view, AlignmentConfig(query_crop=share))
    left, top, right, bottom = box
    assert np.array_equal(np.asarray(cut), values[top:bottom, left:right])


def test_a_crop_never_vanishes() -> None:
    assert crop(Image.new("RGB", (1, 1)), View.DRONE, AlignmentConfig(query_crop=0.01)).size == (1, 1)


def turned(prepared: np.ndarray, count: int) -> np.ndarray:
    """A model input (3, H, W) under evenly spaced turns."""
    alignment = AlignmentConfig(reference_rotations=count)
    return model_inputs(prepared[None], View.SATELLITE, alignment, passes(View.SATELLITE, alignment))


def test_turns_are_the_right_ones() -> None:
    prepared = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert np.array_equal(turned(prepared, 2)[1], prepared[:, ::-1, ::-1])
    assert [tuple(values[0].ravel()) for values in turned(prepared, 4)] == [
        (0, 1, 2, 3),
        (1, 3, 0, 2),
        (3, 2, 1, 0),
        (2, 0, 3, 1),
    ]
    with pytest.raises(ValueError, match="square"):
        turned(np.zeros((3, 2, 4), np.float32), 4)


def test_references_are_the_mean_over_turns_and_queries_are_not() -> None:
    image, embedder = place_image(1), FakeEmbedder()
    alignment = AlignmentConfig(reference_rotations=4)
    prepared = embedder.prepare(image)
    each = embedder.embed(np.stack([np.rot90(prepared, k, (1, 2)) for k in range(4)]))
    mean = each.mean(0)
    assert embed_images([image], embedder, View.SATELLITE, alignment)[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert embed_images([image], embedder, View.DRONE, alignment)[0] == pytest.approx(each[0], abs=1e-6)


def test_a_turned_tile_has_the_descriptor_of_the_upright_one() -> None:
    image, alignment = place_image(2), AlignmentConfig(reference_rotations=4)
    upright, turned_tile = (
        embed_images([tile], FakeEmbedder(), View.SATELLITE, alignment)
        for tile in (image, image.transpose(Image.Transpose.ROTATE_90))
    )
    assert upright == pytest.approx(turned_tile, abs=1e-3)


def test_no_images_no_rows() -> None:
    assert embed_images([], FakeEmbedder(), View.DRONE).shape == (0, 5)


def test_an_image_without_a_finite_descriptor_is_named() -> None:
    images = [Image.new("RGB", (8, 8), colour) for colour in ("black", "black", "white")]
    with pytest.raises(ModelError, match="image 2"):
        embed_images(images, FakeEmbedder(unusable_above=0.9), View.DRONE)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_batches_are_halved_when_memory_runs_out_and_stay_halved(error: Exception) -> None:
    embedder, batch = FakeEmbedder(fits=3, error=error), BatchSize(16)
    inputs = [np.random.default_rng(k).uniform(0, 1, (1, 3, 8, 8)).astype(np.float32) for k in range(11)]
    rows = embed_all(inputs, embedder, batch)
    assert rows == pytest.approx(FakeEmbedder().embed(np.concatenate(inputs)))
    assert batch.value == 2
    assert embedder.batch_sizes == [2, 2, 2, 2, 2, 1]
    embed_all(inputs[:4], embedder, batch)
    assert embedder.batch_sizes[-2:] == [2, 2], "remembered, not tried again"


def test_too_little_memory_for_one_image_is_an_error() -> None:
    with pytest.raises(ModelError, match="one image at a time") as caught:
        embed_all([np.zeros((2, 3, 8, 8), np.float32)], FakeEmbedder(fits=0), BatchSize(4))
    assert "image-size" in caught.value.fix


def test_other_errors_of_a_model_are_not_taken_for_a_lack_of_memory() -> None:
    embedder = FakeEmbedder(fits=0, error=RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        embed_all([np.zeros((2, 3, 8, 8), np.float32)], embedder, BatchSize(4))
    assert embedder.batch_sizes == []


def test_the_fingerprint_changes_with_all_that_changes_a_descriptor() -> None:
    identity: dict[str, str | int | float] = {"backbone": "fake", "layer": 3, "gem_p": 3.0}
    base = fingerprint(identity)
    assert base == fingerprint(dict(reversed(identity.items())), AlignmentConfig(), half_storage=False)
    others = {
        fingerprint({**identity, "layer": 4}),
        fingerprint({**identity, "gem_p": 3.5}),
        fingerprint(identity, AlignmentConfig(query_crop=0.7)),
        fingerprint(identity, AlignmentConfig(reference_rotations=4)),
        fingerprint(identity, half_storage=True),
    }
    assert len(others | {base}) == 6


# ---- passes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "settings", "count"),
    [
        (View.DRONE, {}, 1),
        (View.DRONE, {"query_rotations": 4, "flips": True}, 8),
        (View.DRONE, {"reference_rotations": 8, "reference_scales": (1.0, 0.7)}, 1),
        (View.SATELLITE, {"reference_rotations": 8}, 8),
        (View.SATELLITE, {"reference_rotations": 4, "flips": True, "reference_scales": (1.0, 0.7)}, 16),
        (View.GROUND, {"query_rotations": 4}, 4),
    ],
)
def test_an_image_costs_as_many_inputs_as_it_has_passes(view: View, settings: dict[str, object], count: int) -> None:
    alignment, embedder = AlignmentConfig(**settings), FakeEmbedder()
    assert len(passes(view, alignment)) == count
    assert embed_images([place_image(1)], embedder, view, alignment).shape == (1, 5)
    assert sum(embedder.batch_sizes) == count


@pytest.mark.parametrize(
    ("view", "settings", "change"),
    [
        (View.SATELLITE, {"reference_rotations": 8}, lambda image: image.transpose(Image.Transpose.ROTATE_270)),
        (View.DRONE, {"query_rotations": 4}, lambda image: image.transpose(Image.Transpose.ROTATE_90)),
        (View.DRONE, {"flips": True}, lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        (
            View.SATELLITE,
            {"polar": True, "reference_rotations": 4},
            lambda image: image.transpose(Image.Transpose.ROTATE_90),
        ),
    ],
)
def test_what_is_averaged_over_no_longer_matters(view: View, settings: dict[str, object], change: object) -> None:
    image, embedder = place_image(4), FakeEmbedder(side=16)
    changed = change(image)  # type: ignore[operator]
    plain = [embed_images([sample], embedder, view) for sample in (image, changed)]
    averaged = [embed_images([sample], embedder, view, AlignmentConfig(**settings)) for sample in (image, changed)]
    assert averaged[0] == pytest.approx(averaged[1], abs=3e-3)
    assert np.abs(plain[0] - plain[1]).max() > 0.02, "or the test would prove nothing"


def test_a_panorama_turns_by_shifting_its_columns() -> None:
    panorama, alignment = place_image(5, size=64), AlignmentConfig(query_rotations=4)
    shifted = Image.fromarray(np.roll(np.asarray(panorama), 16, axis=1))
    rows = [embed_images([sample], FakeEmbedder(side=16), View.GROUND, alignment) for sample in (panorama, shifted)]
    assert rows[0] == pytest.approx(rows[1], abs=2e-3)


def test_a_smaller_part_of_the_tile_is_that_part() -> None:
    tile, embedder = place_image(6, size=80), FakeEmbedder()
    expected = embed_images([tile.crop((20, 20, 60, 60))], embedder, View.SATELLITE)
    assert np.array_equal(embed_images([tile], embedder, View.SATELLITE, AlignmentConfig(reference_crop=0.5)), expected)
    assert np.array_equal(embed_images([tile], embedder, View.SATELLITE, AlignmentConfig(reference_scales=(0.5,))), expected)


def test_tilt_is_of_drones_and_polar_of_tiles() -> None:
    image, embedder = place_image(7), FakeEmbedder()
    for setting, view in (({"tilt": 40.0}, View.DRONE), ({"polar": True}, View.SATELLITE)):
        for other_view in View:
            same = np.array_equal(
                embed_images([image], embedder, other_view),
                embed_images([image], embedder, other_view, AlignmentConfig(**setting)),
            )
            assert same is (other_view is not view)


def test_settings_that_do_nothing_leave_the_fingerprint_as_it_was() -> None:
    """Descriptors made before a setting existed keep their name."""
    expected = fingerprint({"backbone": "fake"}, AlignmentConfig(query_crop=0.7, reference_rotations=4))
    assert expected == "09f5b86e58fa9497"
    assert fingerprint({}, AlignmentConfig(field_of_view=40)) == fingerprint({}, AlignmentConfig())
    changes: list[dict[str, Any]] = [{"reference_crop": 0.8}, {"query_rotations": 4}, {"flips": True}, {"tilt": 20}]
    changes += [
        {"polar": True},
        {"tilt": 20, "field_of_view": 40},
        {"reference_scales": (1.0, 0.5)},
        {"reference_rotations": 8},
    ]
    assert len({fingerprint({}, AlignmentConfig(**change)) for change in [{}, *changes]}) == len(changes) + 1

"""Images as inputs: pixel by pixel what torchvision and timm make of them, for the released way and the models' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision import transforms

from cvgl import backbones
from cvgl.backbones.preprocessing import Preprocessing
from cvgl.backbones.timm_embedder import TimmEmbedder
from cvgl.config import BackboneConfig, Device, Preprocess
from cvgl.errors import ConfigError
from cvgl.imaging import open_rgb
from tests.backbones import models
from tests.data.images import place_image

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = [(512, 512), (300, 200), (201, 333), (252, 252), (100, 90), (257, 256), (1232, 224), (40, 41)]


def released(resize: int = 256, crop: int = 252) -> transforms.Compose:
    """As the paper's released code writes it."""
    return transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(*IMAGENET),
        ]
    )


def embedder(tmp_path: Path, name: str = "vit_of_tests", **settings: Any) -> TimmEmbedder:
    path = tmp_path / f"{name}.pt"
    torch.save(models.random_weights(name), path)
    loaded = backbones.load(BackboneConfig(name=name, checkpoint=str(path), **settings), Device.CPU)
    assert isinstance(loaded, TimmEmbedder)
    return loaded


def image(size: tuple[int, int]) -> Image.Image:
    return place_image(3).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("resize", "crop"), [(256, 252), (255, 252), (256, 224), (64, 64)])
def test_the_released_preprocessing_is_torchvisions(size: tuple[int, int], resize: int, crop: int) -> None:
    ours = Preprocessing(crop, crop, *IMAGENET, style=Preprocess.RELEASED, resize=resize)
    np.testing.assert_allclose(ours(image(size)), released(resize, crop)(image(size)).numpy(), atol=1e-6)


def test_real_images_get_the_released_preprocessing(shared: Path) -> None:
    ours = Preprocessing(252, 252, *IMAGENET, style=Preprocess.RELEASED, resize=256)
    paths = sorted((shared / "data" / "university_mini").rglob("*.jp*g"))[:6]
    assert paths
    for path in paths:
        image = open_rgb(path)
        np.testing.assert_allclose(ours(image), released()(image).numpy(), atol=1e-6)


def test_the_setting_gives_the_released_sizes_filter_and_statistics(tmp_path: Path) -> None:
    model = embedder(tmp_path, "dinov2_nano_of_tests", preprocessing="released")
    np.testing.assert_allclose(model.prepare(image((333, 512))), released()(image((333, 512))).numpy(), atol=1e-6)
    # ImageNet's statistics also where the model's own are others.
    model = embedder(tmp_path, preprocessing="released", image_size=64, resize=70)
    np.testing.assert_allclose(model.prepare(image((300, 200))), released(70, 64)(image((300, 200))).numpy(), atol=1e-6)
    scaled = embedder(tmp_path, preprocessing="released", image_size=504)
    assert scaled.preprocessing.resize == 512


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "image_size"),
    [("vit_of_tests", 80), ("resnet10t", None), ("resnet10t", 100), ("convnext_atto.d2_in1k", None)],
)
def test_native_is_timms_evaluation(tmp_path: Path, name: str, image_size: int | None, size: tuple[int, int]) -> None:
    model = embedder(tmp_path, name, preprocessing="native", image_size=image_size)
    config = timm.data.resolve_data_config({}, model=timm.create_model(name))
    config["input_size"] = (3, image_size, image_size) if image_size else config["input_size"]
    expected = timm.data.create_transform(**config)(image(size))
    np.testing.assert_allclose(model.prepare(image(size)), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("size", SIZES[:4])
def test_native_squashes_where_timm_does(size: tuple[int, int]) -> None:
    ours = Preprocessing(64, 64, *IMAGENET, "bilinear", Preprocess.NATIVE, 80, squashed=True)
    theirs = timm.data.create_transform(
        (3, 64, 64), interpolation="bilinear", mean=IMAGENET[0], std=IMAGENET[1], crop_pct=0.8, crop_mode="squash"
    )
    np.testing.assert_allclose(ours(image(size)), theirs(image(size)).numpy(), atol=1e-6)


def test_the_whole_image_is_the_default_and_stays_named_as_it_was(tmp_path: Path) -> None:
    whole = embedder(tmp_path, image_size=32)
    wide = Image.new("RGB", (90, 30))
    wide.paste((255, 255, 255), (0, 0, 10, 30))
    assert whole.prepare(wide)[:, :, 0].min() > 0.9, "the left border is still there"
    assert not {"preprocessing", "resize", "resized_sides"} & set(whole.identity)
    cut = embedder(tmp_path, image_size=32, preprocessing="released")
    assert cut.prepare(wide)[:, :, 0].max() < 0, "the left border is cut off"


def test_every_setting_of_the_preprocessing_has_an_identity_of_its_own(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"preprocessing": "native"},
        {"preprocessing": "native", "resize": 40},
        {"preprocessing": "released"},
        {"preprocessing": "released", "resize": 40},
    ]
    identities = [tuple(sorted(embedder(tmp_path, image_size=32, **changes).identity.items())) for changes in settings]
    assert len(set(identities)) == len(identities)


def test_one_row_of_pixels_is_not_blown_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Preprocessing(64, 64, *IMAGENET, style=Preprocess.RELEASED, resize=64)
    real, longest = Image.Image.resize, []

    def resize(image: Image.Image, size: tuple[int, int], *arguments: Any) -> Image.Image:
        longest.append(max(size))
        return real(image, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", resize)
    for size in ((20_000, 1), (1, 20_000)):
        values = ours(Image.new("RGB", size, (255, 0, 0)))
        assert values.shape == (3, 64, 64)
        assert np.ptp(values[0]) < 1e-6
    assert max(longest) <= 16 * 64
    # The middle of it is what is seen.
    long = Image.new("L", (3201, 1))
    long.paste(255, (1590, 0, 1611, 1))
    assert ours(long).min() > 0


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="resize goes with"):
        BackboneConfig(resize=256)
    with pytest.raises(ValidationError, match="image_size"):
        BackboneConfig(preprocessing="released", resize=100, image_size=252)
    with pytest.raises(ConfigError, match="cannot be cut out"):
        embedder(tmp_path, "dinov2_nano_of_tests", preprocessing="released", resize=200)
    with pytest.raises(ConfigError, match="patches of 8"):
        embedder(tmp_path, preprocessing="released")


def test_padding_and_rectangles_are_refused_rather_than_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm.data.resolve_data_config
    monkeypatch.setattr(timm.data, "resolve_data_config", lambda *a, **k: {**real(*a, **k), "crop_mode": "border"})
    with pytest.raises(ConfigError, match="pads images"):
        embedder(tmp_path, preprocessing="native", image_size=32)

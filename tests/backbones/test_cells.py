"""The cells of a grid: they tell apart what lies where, and turn with the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file

from cvgl import backbones
from cvgl.backbones import load_variants
from cvgl.backbones.pooling import Head, LocalFeatures, cell_of_tokens
from cvgl.config import BackboneConfig, Device, Pooling
from cvgl.errors import ConfigError
from tests.backbones import models
from tests.data.images import place_image


def test_cells_are_counted_from_the_top_left() -> None:
    assert cell_of_tokens(4, 4, 2).reshape(4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert cell_of_tokens(14, 14, 4)[:14].tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    assert cell_of_tokens(2, 4, 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("side", "cells"), [(7, 3), (14, 2), (14, 3), (14, 4), (16, 3)])
def test_a_quarter_turn_moves_whole_cells(side: int, cells: int) -> None:
    grid = cell_of_tokens(side, side, cells).reshape(side, side)
    numbered = torch.arange(cells**2).reshape(cells, cells)
    assert torch.equal(grid.rot90(), numbered.rot90().flatten()[grid])
    assert set(grid.flatten().tolist()) == set(range(cells**2))


def test_a_descriptor_is_the_pooled_cells_side_by_side() -> None:
    rows = torch.rand(2, 16, 5) + 0.1
    head = Head((0,), 1, Pooling.MEAN, 3.0, cells=2)
    descriptors = head([LocalFeatures(rows, (4, 4))])
    top_left = F.normalize(F.normalize(rows, dim=2)[:, [0, 1, 4, 5]].mean(1), dim=1)
    torch.testing.assert_close(descriptors[:, :5], top_left)
    assert descriptors.shape == (2, 20)
    torch.testing.assert_close(head([LocalFeatures(rows * torch.rand(2, 16, 1).add(0.5), (4, 4))]), descriptors)
    turned = rows.reshape(2, 4, 4, 5).rot90(1, (1, 2)).reshape(2, 16, 5)
    torch.testing.assert_close(head([LocalFeatures(turned, (4, 4))])[:, 10:15], top_left)


def test_a_grid_too_coarse_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 x 5 tokens"):
        cell_of_tokens(3, 5, 4)


@pytest.mark.parametrize("other", [{"rings": 2}, {"pooling": "cls"}, {"pooling": "vlad"}])
def test_what_has_no_places_to_divide_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="cells"):
        BackboneConfig(name="vit_of_tests", cells=2, **other)


def test_cells_are_part_of_a_models_identity(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    save_file(models.random_weights("vit_of_tests"), path)
    config = BackboneConfig(name="vit_of_tests", checkpoint=str(path))
    divided = config.model_copy(update={"cells": 2})
    whole, gridded = (backbones.load(settings, Device.CPU) for settings in (config, divided))
    assert gridded.identity == {**whole.identity, "cells": 2}
    assert "cells" not in whole.identity
    batch = np.stack([gridded.prepare(place_image(0))])
    assert gridded.dimension == gridded.embed(batch).shape[1] == 4 * whole.dimension
    variants = load_variants(divided, (1, 2, 4), True, Device.CPU)
    assert {settings.identity["cells"] for settings in variants.variants} == {2}
    assert [settings.config.rings for settings in variants.variants] == [1, 1]
    np.testing.assert_allclose(variants.embed(batch)[:, variants.variants[0].columns], gridded.embed(batch), rtol=1e-6)


def test_the_weight_free_model_has_no_cells() -> None:
    with pytest.raises(ConfigError, match="cells"):
        backbones.load(BackboneConfig(cells=2), Device.CPU)

"""VLAD against a naive transcription, its vocabulary, and the embedder that uses both."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cvgl import backbones
from cvgl.backbones.vlad import VladEmbedder, load_local, vlad
from cvgl.backbones.vocabulary import Vocabulary, learn_words, read_vocabulary
from cvgl.config import BackboneConfig, Device, Pooling, Precision
from cvgl.errors import ConfigError, ModelError
from tests.backbones import models

NAME = models.vit_of_tests.__name__
PLACES, SIZE = 16, 24  # of the model of the tests: 32 pixels in patches of 8


def unit_rows(*shape: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.as_tensor(rows / rows.norm(dim=-1, keepdim=True))


def naive(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    """One picture's VLAD, place by place, as AnyLoc's paper tells it."""
    blocks = np.zeros_like(words)
    for row in rows:
        cosines = [row @ word / np.linalg.norm(word) for word in words]
        word = int(np.argmax(cosines))
        blocks[word] += row - words[word]
    for block in blocks:
        length = np.linalg.norm(block)
        if length > 0:
            block /= length
    return np.asarray(blocks.ravel() / np.linalg.norm(blocks))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "vit.safetensors"
    save_file(models.random_weights(NAME), path)
    return path


def config(weights: Path, **settings: object) -> BackboneConfig:
    own = {"name": NAME, "checkpoint": str(weights), "pooling": "vlad", "clusters": 4, "image_size": 32}
    return BackboneConfig(**{**own, **settings})


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, 32, 32)).astype(np.float32)


def vocabulary_file(path: Path, *words: torch.Tensor) -> Path:
    path.write_bytes(Vocabulary(words).to_bytes({}))
    return path


# ---- pooling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clusters", [1, 3, 40])
def test_it_is_the_naive_transcription(clusters: int) -> None:
    rows, words = unit_rows(5, 30, 7), 0.6 * unit_rows(clusters, 7, seed=1)
    expected = [naive(image_rows.numpy().astype(np.float64), words.numpy().astype(np.float64)) for image_rows in rows]
    assert vlad(rows, words).numpy() == pytest.approx(np.stack(expected), abs=2e-5)


def test_the_nearest_word_is_that_of_the_highest_cosine() -> None:
    """A short word in the right direction wins over a long one that lies nearer."""
    words = torch.tensor([[0.05, 0.0], [0.6, 0.6]])
    row = torch.tensor([[[0.95, 0.31]]])
    pooled = vlad(row / row.norm(), words)[0]
    assert pooled[:2].norm() == pytest.approx(1.0)
    assert pooled[2:].norm() == 0


def test_every_word_that_has_places_weighs_the_same() -> None:
    rows = torch.cat([unit_rows(1, 1, 6).expand(1, 50, 6) * 1.0, unit_rows(1, 1, 6, seed=3)], dim=1)
    words = torch.stack([rows[0, 0] * 0.9, rows[0, -1] * 0.8])
    blocks = vlad(rows, words).reshape(2, 6)
    assert blocks.norm(dim=1).tolist() == pytest.approx([0.5**0.5] * 2)


def test_a_word_without_places_has_zeros() -> None:
    words = torch.cat([unit_rows(2, 6), -unit_rows(1, 6)])
    rows = unit_rows(2, 6)[None]
    blocks = vlad(0.9 * rows, words).reshape(3, 6)
    assert (blocks[2] == 0).all()
    assert (blocks[:2].norm(dim=1) > 0).all()


def test_places_that_lie_on_their_words_give_zeros_not_nan() -> None:
    words = unit_rows(3, 6)
    assert (vlad(words[None], words) == 0).all()


def test_an_image_does_not_depend_on_those_beside_it() -> None:
    rows, words = unit_rows(6, 30, 8), unit_rows(4, 8, seed=2)
    assert torch.equal(vlad(rows, words)[2:3], vlad(rows[2:3], words))


# ---- the vocabulary ----------------------------------------------------------------------------------------------------


def test_words_are_the_means_of_their_places_and_a_fixed_point() -> None:
    centres = unit_rows(4, 12, seed=5)
    rows = centres.repeat_interleave(50, 0) + 0.05 * torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
    rows = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    words = learn_words(rows, 4, seed=0).numpy()
    nearest = (rows @ (words / np.linalg.norm(words, axis=1, keepdims=True)).T).argmax(axis=1)
    for word in range(4):
        assert words[word] == pytest.approx(rows[nearest == word].mean(axis=0), abs=1e-6)
    assert np.linalg.norm(words, axis=1).max() < 1, "means of unit rows are shorter than one, and stay so"


def test_a_seed_gives_one_vocabulary_on_any_number_of_threads() -> None:
    rows, before = unit_rows(4000, 32).numpy(), faiss.omp_get_max_threads()
    vocabularies = []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            vocabularies.append(learn_words(rows, 16, 3))
            assert faiss.omp_get_max_threads() == threads, "what others set is put back"
    finally:
        faiss.omp_set_num_threads(before)
    assert torch.equal(*vocabularies)
    assert not torch.equal(learn_words(rows, 16, 4), vocabularies[0])


def test_too_few_rows_are_refused_and_just_enough_are_taken() -> None:
    rows = unit_rows(5, 8).numpy()
    with pytest.raises(ModelError, match="5 local descriptors"):
        learn_words(rows, 6, 0)
    words = learn_words(rows, 5, 0)
    assert np.array(sorted(words.tolist())) == pytest.approx(np.array(sorted(rows.tolist())), abs=1e-6)


def test_rows_that_are_all_the_same_give_finite_words() -> None:
    rows = unit_rows(1, 8).expand(20, 8).numpy()
    words = learn_words(rows, 3, 0)
    assert torch.isfinite(words).all()
    assert torch.isfinite(vlad(torch.from_numpy(rows.copy())[None], words)).all()


def test_a_vocabulary_comes_back_from_its_file(tmp_path: Path) -> None:
    words = (unit_rows(4, 8), unit_rows(4, 6))
    path = tmp_path / "own.safetensors"
    path.write_bytes(Vocabulary(words).to_bytes({"b": 1, "a": [2]}))
    restored = read_vocabulary(path)
    assert all(torch.equal(*pair) for pair in zip(restored.words, words, strict=True))
    assert (restored.sha256, restored.clusters) == (Vocabulary(words).sha256, 4)
    assert Vocabulary(words).to_bytes({"a": [2], "b": 1}) == path.read_bytes()
    assert restored.sha256 != Vocabulary((words[0], words[1] + 1e-3)).sha256


def test_a_published_matrix_of_words_is_read(tmp_path: Path) -> None:
    words = unit_rows(32, 8)
    torch.save(words, tmp_path / "c_centers.pt")
    assert torch.equal(read_vocabulary(tmp_path / "c_centers.pt").words[0], words)


class Dangerous:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize("content", ["missing", "text", "pickle", "mapping", "vector", "nan", "other names", "empty"])
def test_files_without_words_are_refused(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("words.safetensors" if content in ("other names", "empty") else "words.pt")
    matrix = unit_rows(3, 4)
    match content:
        case "text":
            path.write_text("no words")
        case "pickle":
            torch.save(Dangerous(), path)
        case "mapping":
            torch.save({"words": matrix}, path)
        case "vector":
            torch.save(matrix[0], path)
        case "nan":
            torch.save(matrix * float("nan"), path)
        case "other names":
            save_file({"centres": matrix}, path)
        case "empty":
            save_file({}, path)
    with pytest.raises(ModelError, match=r"vocabulary|words"):
        read_vocabulary(path)
    assert "never" not in capsys.readouterr().out


# ---- the embedder ------------------------------------------------------------------------------------------------------


def test_a_descriptor_is_the_vlad_of_the_models_places(weights: Path, tmp_path: Path) -> None:
    words = 0.5 * unit_rows(4, SIZE, seed=7)
    embedder = backbones.load(config(weights, vocabulary=str(vocabulary_file(tmp_path / "v.safetensors", words))), Device.CPU)
    assert isinstance(embedder, VladEmbedder)
    batch = images(3)
    plain = backbones.load(config(weights, pooling="gem"), Device.CPU)
    with torch.inference_mode():
        rows = plain.network.local(torch.from_numpy(batch))[0].rows
    expected = np.stack([naive(image_rows.numpy().astype(np.float64), words.numpy().astype(np.float64)) for image_rows in rows])
    descriptors = embedder.embed(batch)
    assert descriptors == pytest.approx(expected, abs=2e-5)
    assert descriptors.dtype == np.float32
    assert embedder.dimension == descriptors.shape[1] == 4 * SIZE
    assert np.array_equal(embedder.embed(batch), descriptors)


def test_layers_have_words_of_their_own(weights: Path, tmp_path: Path) -> None:
    first, second = unit_rows(4, SIZE, seed=1), unit_rows(4, SIZE, seed=2)

    def embedded(layers: tuple[int, ...], *words: torch.Tensor) -> np.ndarray:
        path = vocabulary_file(tmp_path / "v.safetensors", *words)
        return backbones.load(config(weights, layers=layers, vocabulary=str(path)), Device.CPU).embed(images(2))

    alone = np.concatenate([embedded((1,), first), embedded((3,), second)], axis=1)
    assert embedded((1, 3), first, second) == pytest.approx(alone / 2**0.5, abs=1e-6)


def test_hierarchical_models_are_scaled_to_unit_places_too(tmp_path: Path) -> None:
    weights = tmp_path / "resnet.safetensors"
    save_file(models.random_weights("resnet10t"), weights)
    of_resnet = {"name": "resnet10t", "layers": (2,), "image_size": 64}
    model = load_local(config(weights, **of_resnet), Device.CPU, Precision.FLOAT32)
    (places, size), *_ = model.shapes
    row = model.embed(np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32))[0]
    assert np.linalg.norm(model.tokens(row)[0], axis=1) == pytest.approx(np.ones(places), abs=1e-5)
    words = vocabulary_file(tmp_path / "v.safetensors", unit_rows(4, size))
    assert backbones.load(config(weights, **of_resnet, vocabulary=str(words)), Device.CPU).dimension == 4 * size


def test_the_identity_names_the_words_and_not_their_file(weights: Path, tmp_path: Path) -> None:
    first, same, other = (
        vocabulary_file(tmp_path / f"{name}.safetensors", unit_rows(4, SIZE, seed=seed))
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    identities = [
        dict(backbones.load(config(weights, vocabulary=str(path)), Device.CPU).identity) for path in (first, same, other)
    ]
    assert identities[0] == identities[1] != identities[2]
    assert identities[0]["pooling"] == "vlad"
    assert identities[0]["clusters"] == 4
    assert "gem_p" not in identities[0]
    assert (
        identities[0]["weights_sha256"] == backbones.load(config(weights, pooling="max"), Device.CPU).identity["weights_sha256"]
    )


def test_what_does_not_fit_is_refused(weights: Path, tmp_path: Path) -> None:
    right = str(vocabulary_file(tmp_path / "right.safetensors", unit_rows(4, SIZE)))
    narrow = str(vocabulary_file(tmp_path / "narrow.safetensors", unit_rows(4, SIZE - 1)))
    with pytest.raises(ConfigError, match="needs visual words"):
        backbones.load(config(weights), Device.CPU)
    with pytest.raises(ConfigError, match=r"\[23\]"):
        backbones.load(config(weights, vocabulary=narrow), Device.CPU)
    with pytest.raises(ConfigError, match="4 words, not 32"):
        backbones.load(config(weights, vocabulary=right, clusters=32), Device.CPU)
    with pytest.raises(ConfigError, match="no rings"):
        backbones.load(config(weights, vocabulary=right, rings=2), Device.CPU)
    with pytest.raises(ConfigError, match=r"\[24\]"):
        backbones.load(config(weights, vocabulary=right, layers=(1, 2)), Device.CPU)
    with pytest.raises(ConfigError, match="has no pooling"):
        backbones.load(BackboneConfig(pooling=Pooling.VLAD))


def test_a_constant_image_has_a_finite_descriptor(weights: Path, tmp_path: Path) -> None:
    path = vocabulary_file(tmp_path / "v.safetensors", unit_rows(4, SIZE))
    rows = backbones.load(config(weights, vocabulary=str(path)), Device.CPU).embed(np.zeros((2, 3, 32, 32), np.float32))
    assert np.isfinite(rows).all()
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_the_choice_of_an_alignment_gets_one_variant(weights: Path, tmp_path: Path) -> None:
    """Other layers and rings would need words that nobody learned."""
    path = vocabulary_file(tmp_path / "v.safetensors", unit_rows(4, SIZE))
    settings = config(weights, vocabulary=str(path))
    variants = backbones.load_variants(settings, (1, 2, 4), True, Device.CPU)
    assert [variant.config for variant in variants.variants] == [settings]
    assert np.array_equal(variants.embed(images(2)), backbones.load(settings, Device.CPU).embed(images(2)))

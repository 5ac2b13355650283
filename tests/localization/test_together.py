"""Several images of one place get one answer, which is better than that of each."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import ConfigError, DataError
from cvgl.localization import Position, Reference, ReferenceIndex, localize_together, locate


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def index(n: int = 30, d: int = 16) -> ReferenceIndex:
    rng = np.random.default_rng(0)
    references = tuple(Reference(f"r{i}", f"/map/{i}.png", Position(latitude=50 + i / 100, longitude=4.0)) for i in range(n))
    return ReferenceIndex(references, unit(rng.normal(size=(n, d))))


def looks(place: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return unit(index().descriptors[place] + 0.55 * rng.normal(size=(n, 16)))


def test_one_answer_whose_score_is_the_mean_similarity() -> None:
    photos, atlas = looks(7, 4, seed=1), index()
    names = [f"{i}.jpg" for i in range(4)]
    answer = localize_together(names, photos, atlas, top_k=3, adapter="run-1")
    mean = (photos @ atlas.descriptors.T).mean(axis=0)
    order = np.argsort(-mean)
    assert [int(entry.image_id[1:]) for entry in answer.top_k] == order[:3].tolist()
    assert answer.score == pytest.approx(mean[order[0]], abs=1e-6)
    assert answer.margin == pytest.approx(mean[order[0]] - mean[order[1]], abs=1e-6)
    assert (answer.picture, answer.pictures, answer.adapter) == ("0.jpg", tuple(names), "run-1")
    assert answer.latitude == 50 + order[0] / 100


def test_together_they_are_right_more_often_than_one_by_one() -> None:
    atlas, alone, joint = index(), [], []
    for place in range(30):
        photos = looks(place, 5, seed=place)
        names = list("abcde")
        alone += [placement.top_k[0].image_id == f"r{place}" for placement in locate(names, photos, atlas)]
        joint.append(localize_together(names, photos, atlas).top_k[0].image_id == f"r{place}")
    assert np.mean(joint) > np.mean(alone) + 0.2


def test_one_image_is_answered_as_alone_and_opposites_are_answered_at_all() -> None:
    photo, atlas = looks(3, 1, seed=5), index()
    (alone,) = locate(["a"], photo, atlas)
    assert localize_together(["a"], photo, atlas).top_k == alone.top_k
    nothing = localize_together(["a", "b"], np.concatenate([photo, -photo]), atlas)
    assert nothing.score == pytest.approx(0)
    assert nothing.margin == pytest.approx(0)


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(DataError, match="0 images"):
        localize_together([], np.zeros((0, 16), np.float32), index())
    with pytest.raises(DataError, match="2 images have 1"):
        localize_together(["a", "b"], looks(0, 1, 0), index())
    with pytest.raises(DataError, match="no references"):
        localize_together(["a"], looks(0, 1, 0), ReferenceIndex((), np.zeros((0, 16), np.float32)))
    with pytest.raises(ConfigError):
        localize_together(["a"], looks(0, 1, 0), index(), top_k=0)

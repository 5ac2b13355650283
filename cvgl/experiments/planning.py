"""From what is at hand to what a page measures: which data, which frozen models, and what is lacking."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.config import AlignConfig, BackboneConfig, ExtractConfig, Settings
from cvgl.experiments import experiments
from cvgl.experiments.configuration import Kind, Sampling
from cvgl.experiments.contents import CONTENTS, Contents, Need, Part
from cvgl.experiments.paper_models import PAPER_MODELS, PaperModel, stand_ins
from cvgl.experiments.settings import Overrides, ReproduceConfig, Seed
from cvgl.experiments.sources import SourceConfig
from cvgl.experiments.weights import AUTO, Choice, Found
from cvgl.experiments.worlds import world_source
from cvgl.lake import Lake

COUNTED = (Need.UNIVERSITY, Need.CVUSA, Need.CVACT)
"""Data whose ids Table III counts."""


class Measurable(Settings):
    """One part of a page with one frozen model.

    Attributes:
        part: key in the page's contents.
        model: the frozen model, for people.
        stands_in: it takes the place of the paper's.
        config: what is measured: one source, one frozen model.
    """

    part: str
    model: str
    stands_in: bool
    config: ReproduceConfig

    @property
    def source(self) -> SourceConfig:
        """First of the sources."""
        return self.config.sources[0]

    def aligned(self, how: str) -> Measurable:
        """The same, with how its views were aligned told beside the model, where they were."""
        return self if how == "none" else self.model_copy(update={"model": f"{self.model}, alignment {how}"})


class Lacking(Settings):
    """A part whose frozen model is not at hand."""

    part: str
    model: str
    reason: str
    command: str


class PagePlan(Settings):
    """Everything that makes a page.

    Attributes:
        name: of the table or figure.
        measurables: what is measured, in the order of the parts.
        lacking: what cannot be.
        notes: which data took the place of which.
        command: what was asked for.
        counted: data sets whose ids are counted (Table III).
        split_seed: of the division of a test set.
    """

    name: str
    measurables: tuple[Measurable, ...]
    lacking: tuple[Lacking, ...]
    notes: tuple[str, ...]
    command: str
    counted: tuple[SourceConfig, ...] = ()
    split_seed: int = 0

    @property
    def contents(self) -> Contents:
        """Page specification of the experiment."""
        return CONTENTS[self.name]

    def replaced(self) -> tuple[str, ...]:
        """The paper's models in whose place others were measured."""
        taken = {measurable.part for measurable in self.measurables if measurable.stands_in}
        return tuple(dict.fromkeys(measurable.model for measurable in self.lacking if measurable.part in taken))

    @property
    def title(self) -> str:
        """The data sets, for people."""
        return ", ".join(source.dataset for source in self.sources) or "nothing at hand"

    @property
    def sources(self) -> tuple[SourceConfig, ...]:
        """Every data set that is taken in, once."""
        measured = (measurable.source for measurable in self.measurables)
        return tuple({source.dataset: source for source in (*measured, *self.counted)}.values())


@dataclass(frozen=True, slots=True)
class Resources:
    """What there is to work with.

    Attributes:
        lake: where worlds are drawn.
        data_root: as given.
        sources: the data sets found in it.
        found: the weights.
        choice: frozen models at hand, or the one that was given.
        given: the frozen model that was asked for by name, `AUTO` where none was.
        weights: the folder of weights as given.
        extract, align, sampling, overrides: settings for all of it.
        seeds: none: each experiment's own.
    """

    lake: Lake
    data_root: Path
    sources: tuple[SourceConfig, ...]
    found: Found
    choice: Choice
    given: str
    weights: Path | None
    extract: ExtractConfig
    align: AlignConfig
    sampling: Sampling
    overrides: Overrides
    seeds: tuple[Seed, ...] | None

    @property
    def weights_folder(self) -> Path:
        """Folder that weights are looked for in."""
        return self.found.folder or self.weights or self.data_root.parent / "weights"


def make_plan(name: str, resources: Resources) -> PagePlan:
    """What a page measures with these resources.

    Raises:
        ConfigError: settings that contradict one another.
    """
    contents = CONTENTS[name]
    notes: dict[str, None] = {}
    measurables, lacking = [], []
    for part in contents.parts:
        source = _source(part.need, resources)
        if source.drawn:
            notes[_said(part.need, resources)] = None
        own = _own(part, resources)
        if own is None:
            lacking.append(_lacking(part, name, resources))
        else:
            measurables.append(_measurable(part, own, source, resources, stands_in=False))
        if part.stand_ins and own is None:
            measurables += [
                _measurable(part, backbone, source, resources, stands_in=True)
                for backbone in stand_ins(resources.choice.backbones, vlad=part.vlad)
            ]
    counted = [] if contents.parts else [_source(need, resources) for need in COUNTED]
    notes |= {_said(need, resources): None for need, source in zip(COUNTED, counted, strict=False) if source.drawn}
    return PagePlan(
        name=name,
        measurables=measurables,
        lacking=lacking,
        notes=tuple(notes),
        command=_command(name, resources),
        counted=counted,
        split_seed=(resources.seeds or (0,))[0],
    )


def _source(need: Need, resources: Resources) -> SourceConfig:
    """The data set that a part needs, or the built-in world in its layout."""
    for source in _candidates(need, resources.sources):
        if need is not Need.VIEWS or has_several_views(Path(source.folder)):
            return source
    return world_source(need.kind, resources.lake)


def _candidates(need: Need, sources: Sequence[SourceConfig]) -> Iterator[SourceConfig]:
    yield from (source for source in sources if source.kind is need.kind)
    if need.kind is Kind.UNIVERSITY:
        # University-160k's folder holds University-1652 whole; what lies beside it is refused by name when it is taken in.
        for source in sources:
            if source.kind is Kind.UNIVERSITY160K:
                update = {"kind": Kind.UNIVERSITY, "dataset": f"{source.dataset[:52]}-university"}
                yield source.model_copy(update=update)
        yield from (source for source in sources if source.kind is Kind.OTHER)


def has_several_views(folder: Path) -> bool:
    """Whether a place of the test set has more than one drone picture."""
    places = folder / "test" / "query_drone"
    if not places.is_dir():
        return False
    return any(sum(1 for path in place.iterdir() if path.is_file()) > 1 for place in places.iterdir() if place.is_dir())


def _said(need: Need, resources: Resources) -> str:
    return (
        f"No {need} in {resources.data_root}: the built-in world in its layout takes its place, and its figures say nothing "
        "of the real data."
    )


def _own(part: Part, resources: Resources) -> BackboneConfig | None:
    """The paper's model with its weights; none where they are not at hand, or another model was asked for by name."""
    model = PAPER_MODELS[part.model]
    named = resources.choice.backbones[0]
    if resources.given != AUTO:
        if resources.given not in (model.timm_name, model.timm_name.partition(".")[0], model.released):
            return None
        # A checkpoint that was given, or the hub's weights.
        config = BackboneConfig(name=model.preset or model.released, checkpoint=named.checkpoint)
    elif (at_hand := model.at_hand(resources.found)) is not None:
        config = at_hand
    else:
        return None
    backbone = resources.extract.backbone
    fixed = {"name", "checkpoint", "layers", "facet", "pooling"} if resources.given != AUTO else {"name", "checkpoint"}
    settings = {name: getattr(backbone, name) for name in backbone.model_fields_set - fixed}
    return BackboneConfig.model_validate({**config.model_dump(exclude_unset=True), **settings})


def _measurable(
    part: Part, backbone: BackboneConfig, source: SourceConfig, resources: Resources, *, stands_in: bool
) -> Measurable:
    experiment = experiments.get(part.experiment)
    seeds = resources.seeds or experiment.seeds
    config = ReproduceConfig(
        experiment=part.experiment,
        sources=(source,),
        backbones=(backbone,),
        extract=resources.extract,
        align=resources.align,
        seeds=seeds,
        released_sampling=resources.sampling,
        frozen_only=part.frozen_only,
        split_seed=seeds[0],
        overrides=resources.overrides,
    )
    pooled = f", {backbone.pooling}" if part.vlad else ""
    title = f"{backbone.name}{pooled}" if stands_in else PAPER_MODELS[part.model].title
    return Measurable(part=part.key, model=title, stands_in=stands_in, config=config)


def _lacking(part: Part, name: str, resources: Resources) -> Lacking:
    model = PAPER_MODELS[part.model]
    weights_path = resources.weights_folder / model.weights_file
    reason = f"not measured: needs the weights {model.weights_file} in {resources.weights_folder}"
    if resources.given != AUTO:
        reason = f"not measured, since --backbone asks for {resources.given} alone; it would be"
    return Lacking(
        part=part.key, model=model.title, reason=reason, command=_command(name, resources, weights_path.parent, model)
    )


def _command(name: str, resources: Resources, weights: Path | None = None, model: PaperModel | None = None) -> str:
    parts = ["cvgl", "reproduce", name, "--data-root", str(resources.data_root)]
    folder = weights or resources.weights
    if folder is not None:
        parts += ["--weights", str(folder)]
    if resources.given != AUTO and model is None:
        parts += ["--backbone", resources.given]
    return shlex.join(parts)

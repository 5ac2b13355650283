"""Makes a page of the paper from what was measured.

Everything here follows from the results, so the same lake gives the same page; the machine and the time it took are added
when a page is written (`cvgl.experiments.page_writing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cvgl.errors import CvglError
from cvgl.experiments import experiments
from cvgl.experiments.contents import Entry
from cvgl.experiments.page import Cell, Line, Page, PageGrid, PageImage, PageTable
from cvgl.experiments.planning import Measurable, PagePlan
from cvgl.experiments.published import FIGURES, PublishedRow
from cvgl.experiments.results import BackboneResult, ConfigurationResult, Spread
from cvgl.experiments.writing import ReproduceOutcome
from cvgl.retrieval import protocols

OWN_SECTION = "Not in the paper"


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of something measurable.

    Attributes:
        measurable: what was to be measured.
        outcome: the figures; none where there was an error.
        error: what kept them from being measured, a refusal included.
    """

    measurable: Measurable
    outcome: ReproduceOutcome | None
    error: CvglError | None = None


def compose(plan: PagePlan, finished: Sequence[Finished], lake_root: str) -> Page:
    """The page of what was measured.

    Args:
        plan: of the page.
        finished: one entry a measurable, in their order.
        lake_root: that paths of drawings are told from.
    """
    contents = plan.contents
    experiment = experiments.get(contents.parts[0].experiment)
    table = contents.table
    statement = FIGURES.get(plan.name)
    measured = [result for result in finished if result.outcome is not None]
    remarks = () if table is None else table.remarks
    return Page(
        name=plan.name,
        source=experiment.source,
        title=experiment.title if table is None else table.caption,
        heading=_heading(plan, measured),
        whole=bool(measured) and not plan.lacking and all(_extent(result) == WHOLE for result in measured),
        published=experiment.finding if statement is None else statement.says,
        notes=(*plan.notes, *contents.remarks, *_small(measured), *(f"In the paper: {remark}" for remark in remarks)),
        tables=tuple(_tables(plan, finished)),
        grids=tuple(_facts(measured)),
        pictures=tuple(_images(measured, lake_root)),
        provenance=_provenance(measured),
        command=plan.command,
        problems=tuple(_problem(result.measurable, result.error) for result in finished if result.error is not None),
    )


def _small(measured: Sequence[Finished]) -> Iterator[str]:
    """Which measures say nothing on data this small."""
    depths = {
        (finished.measurable.source.name, direction.n_gallery)
        for finished in measured
        for direction in _result(finished).configurations[0].directions
        if protocols.get(direction.protocol).one_percent_depth(direction.n_gallery) == 0
    }
    for name, n_gallery in sorted(depths):
        yield f"R@1% looks at the first N // 100 answers: none, where {name} has {n_gallery} images in the gallery."


WHOLE, BUILT_IN = "the whole data set", "the built-in world"


def _extent(finished: Finished) -> str:
    """How much of the data set was measured, for people."""
    if finished.measurable.source.drawn:
        return BUILT_IN
    result = _result(finished)
    for direction in result.configurations[0].directions:
        rules = protocols.get(direction.protocol)
        note = rules.size_note(direction.direction, direction.n_queries, direction.n_gallery)
        if note is not None and not (result.splits is not None and _splits_all(result)):
            return f"a part of the data set ({direction.n_queries:,} queries against {direction.n_gallery:,})"
    return WHOLE


def _splits_all(result: BackboneResult) -> bool:
    """Whether both parts of a divided test set make up the release's 37,855 drone pictures."""
    outcome = next(
        (direction for direction in result.configurations[0].directions if direction.direction == "drone_to_satellite"), None
    )
    full = protocols.get("university1652-951").full_sets[0].queries
    return outcome is not None and outcome.n_queries + result.n_training_queries == full


def _heading(plan: PagePlan, measured: Sequence[Finished]) -> str:
    if not measured:
        return "Nothing was measured."
    sets = {finished.measurable.source.name: _extent(finished) for finished in measured}
    data = "; ".join(f"{name}, {extent}" for name, extent in sets.items())
    ours = dict.fromkeys(finished.measurable.model.partition(",")[0] for finished in measured if finished.measurable.stands_in)
    models = f", with {' and '.join(ours)} in place of {'; '.join(plan.replaced())}" if ours else ""
    full = all(extent == WHOLE for extent in sets.values()) and not ours
    return f"{'Measured' if full else 'Not the paper’s data and models: measured'} on {data}{models}."


def _tables(plan: PagePlan, finished: Sequence[Finished]) -> Iterator[PageTable]:
    contents = plan.contents
    if contents.table is None:
        yield from _curves(finished)
        return
    rows = contents.table.rows
    for section in dict.fromkeys(row.section for row in rows.values()):
        entries = [entry for entry in contents.entries if rows[entry.row].section == section]
        columns = tuple(dict.fromkeys((value.direction, value.metric) for entry in entries for value in rows[entry.row].values))
        lines = [line for entry in entries for line in _lines(plan, entry, rows[entry.row], columns, finished)]
        yield PageTable(title=section or "The paper’s rows", columns=columns, lines=tuple(lines))
        parts = dict.fromkeys(entry.part for entry in entries if entry.part)
        own = tuple(line for part in parts for line in _own_lines(plan, part, columns, finished))
        if own:
            yield PageTable(title=f"{section}: {OWN_SECTION.lower()}" if section else OWN_SECTION, columns=columns, lines=own)


def _lines(
    plan: PagePlan, entry: Entry, row: PublishedRow, columns: Sequence[tuple[str, str]], finished: Sequence[Finished]
) -> Iterator[Line]:
    """The printed row: measured with the paper's model or not measured, then with the models that take its place."""
    learning = row.learning if row.adapted is None else ("adapted" if row.adapted else "as it is")
    printed = tuple(row.fraction(*column) for column in columns)
    nothing = tuple(Cell(published=value, measured=None) for value in printed)

    def unmeasured(model: str, reason: str, command: str = "", data: str = "") -> Line:
        return Line(
            method=row.method,
            learning=learning,
            model=model,
            data=data,
            stands_in=False,
            cells=nothing,
            reason=reason,
            command=command,
        )

    if not entry.part:
        yield unmeasured("", entry.why)
        return
    for lacking in (result for result in plan.lacking if result.part == entry.part):
        yield unmeasured(lacking.model, lacking.reason, lacking.command)
    for result in (result for result in finished if result.measurable.part == entry.part):
        model, data = result.measurable.model, result.measurable.source.name
        if result.outcome is None:
            yield unmeasured(model, f"not measured: {result.error.what if result.error else 'unknown'}", plan.command, data)
            continue
        configuration = next((c for c in result.outcome.result.configurations if _is(c.name, entry.configuration)), None)
        if configuration is None:
            continue
        cells = tuple(
            Cell(published=value, measured=_rate(configuration, *column))
            for value, column in zip(printed, columns, strict=True)
        )
        reason = (
            "" if any(cell.measured is not None for cell in cells) else "not measured: the data does not ask in this direction"
        )
        yield Line(
            method=row.method,
            learning=learning,
            model=model,
            data=data,
            stands_in=result.measurable.stands_in,
            cells=cells,
            reason=reason,
            uses_ground_truth=configuration.uses_ground_truth,
        )


def _own_lines(plan: PagePlan, part: str, columns: Sequence[tuple[str, str]], finished: Sequence[Finished]) -> Iterator[Line]:
    """Configurations that the paper does not have."""
    claimed = [entry.configuration for entry in plan.contents.entries if entry.part == part]
    for result in finished:
        if result.measurable.part != part or result.outcome is None:
            continue
        for configuration in result.outcome.result.configurations:
            if any(_is(configuration.name, name) for name in claimed):
                continue
            cells = tuple(Cell(published=None, measured=_rate(configuration, *column)) for column in columns)
            if any(cell.measured is not None for cell in cells):
                yield Line(
                    method=configuration.name,
                    learning=configuration.learner,
                    model=result.measurable.model,
                    data=result.measurable.source.name,
                    stands_in=result.measurable.stands_in,
                    cells=cells,
                    uses_ground_truth=configuration.uses_ground_truth,
                )


def _curves(finished: Sequence[Finished]) -> Iterator[PageTable]:
    """Of a figure: every configuration with what it reached, one table a data set and frozen model."""
    for finished_result in finished:
        if finished_result.outcome is None:
            continue
        result = finished_result.outcome.result
        directions = [direction.direction for direction in result.configurations[0].directions]
        columns = tuple((direction, metric) for direction in directions for metric in ("R@1", "AP"))
        lines = tuple(
            Line(
                method=configuration.name,
                learning=configuration.learner,
                model=finished_result.measurable.model,
                data=finished_result.measurable.source.name,
                stands_in=finished_result.measurable.stands_in,
                cells=tuple(Cell(published=None, measured=_rate(configuration, *column)) for column in columns),
                uses_ground_truth=configuration.uses_ground_truth,
            )
            for configuration in result.configurations
        )
        yield PageTable(
            title=f"{finished_result.measurable.model} on {finished_result.measurable.source.name}",
            columns=columns,
            lines=lines,
        )


def _is(name: str, wanted: str) -> bool:
    """Whether a configuration is the one that an entry means; some names end with a dimension in brackets."""
    return name == wanted or name.startswith(f"{wanted} (")


def _rate(configuration: ConfigurationResult, direction: str, metric: str) -> Spread | None:
    outcome = configuration.direction(direction)
    if outcome is None:
        return None
    return outcome.ap if metric == "AP" else outcome.recall.get(metric.removeprefix("R@"))


def _facts(measured: Sequence[Finished]) -> Iterator[PageGrid]:
    for result in measured:
        figures = _outcome(result).figures
        if figures.columns:
            rows = tuple(tuple(_cell(value) for value in row) for row in figures.rows)
            title = f"{result.measurable.model} on {result.measurable.source.name}"
            yield PageGrid(title=title, columns=figures.columns, rows=rows)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3f}"


def _images(measured: Sequence[Finished], lake_root: str) -> Iterator[PageImage]:
    for result in measured:
        outcome = _outcome(result)
        for drawn in outcome.figures.drawings:
            file = (outcome.ref.path / drawn.file).relative_to(lake_root).as_posix()
            yield PageImage(file=file, title=drawn.title, caption=drawn.caption, alt=drawn.alt)


_PROVENANCE = ("part", "data", "frozen model", "weights (sha256)", "features", "seeds", "protocol", "protocol hash", "results")


def _provenance(measured: Sequence[Finished]) -> PageGrid:
    rows = []
    for finished_result in measured:
        outcome, config = _outcome(finished_result), finished_result.measurable.config
        result = outcome.result
        directions = result.configurations[0].directions
        sizes = "; ".join(f"{d.direction.replace('_', ' ')}: {d.n_queries:,} against {d.n_gallery:,}" for d in directions)
        learned = f"learned from {result.n_training_queries:,} and {result.n_training_references:,} satellite images"
        rows.append(
            (
                finished_result.measurable.part,
                f"{finished_result.measurable.source.name} ({_extent(finished_result)}); {sizes}; {learned}",
                f"{finished_result.measurable.model} (d0 = {result.dimension})",
                result.weights[:16] or "none",
                result.features,
                ", ".join(map(str, config.seeds)),
                directions[0].protocol,
                directions[0].protocol_hash,
                outcome.ref.digest,
            )
        )
    return PageGrid(title="Where the figures come from", columns=_PROVENANCE, rows=tuple(rows))


def _problem(measurable: Measurable, error: CvglError) -> str:
    return f"{measurable.model} on {measurable.source.name}: {error.what} (where: {error.where}; to do: {error.fix})"


def _outcome(finished: Finished) -> ReproduceOutcome:
    if finished.outcome is None:
        raise ValueError("nothing was measured")
    return finished.outcome


def _result(finished: Finished) -> BackboneResult:
    return _outcome(finished).result

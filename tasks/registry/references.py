"""The map that serves follows its references: with mended positions, and with references that have come or gone.

Positions are data. A correction of them is no contest, so the gate does not compare anything: it records that the map was
published for its positions, and with the same adapter. Each step can be done again, so a process may die between any two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cvgl.config import RegisterConfig
from cvgl.errors import LakeError
from cvgl.lake import Lake
from cvgl.localization.bundle import read_current
from cvgl.quality.gate import GateDecision, Mended
from cvgl.stages.map_positions import OldPositions, old_positions, old_positions_that_serve
from tasks.registry import promotion, tracking, verdict
from tasks.registry.promotion import Change, Version, by_hand, model_name, recover
from tasks.registry.store import Registry
from tasks.registry.tags import CHAMPION, MAP, REASON, SET_ASIDE

logger = logging.getLogger("cvgl.registry")


def refresh(dataset: str, lake: Lake, config: RegisterConfig | None = None) -> Change | None:
    """Serves the champion with the references of today, where some have come, gone or moved since its map was built.

    Returns:
        What changed; None where there is no champion, or its map is of today.

    Raises:
        LakeError, DataError: references without descriptors, or none at all.
    """
    config = config or RegisterConfig()
    name = model_name(config, dataset)
    with by_hand(lake, name, config) as registry:
        champion, _ = recover(registry, name, dataset)
        if champion is None:
            return None
        before = champion.tags.get(MAP, "")
        version = promotion.build(registry, champion, dataset)
        if version == before:
            return None
        old = old_positions(lake, dataset, before)
        if old is not None:
            _record(registry, champion, old, version, config)
        _publish(registry, champion, dataset, version)
    return Change(name, champion.number, champion.run, champion.run, version)


def follow_positions(dataset: str, lake: Lake, config: RegisterConfig | None = None) -> Change | None:
    """Brings mended positions into the map that serves, unless a rollback has set just these aside.

    Returns:
        What changed; None where no map serves, or it holds the positions of today. The registry is not asked then.

    Raises:
        LakeError, DataError: as `refresh`.
    """
    config = config or RegisterConfig()
    if old_positions_that_serve(lake, dataset) is None:
        return None
    name = model_name(config, dataset)
    with by_hand(lake, name, config) as registry:
        champion, _ = recover(registry, name, dataset)
        decision = bring_in(registry, name, dataset, config)
    if champion is None or decision is None or decision.positions is None:
        return None
    return Change(name, champion.number, champion.run, champion.run, decision.positions.map)


def bring_in(
    registry: Registry,
    name: str,
    dataset: str,
    config: RegisterConfig,
    *,
    wanted: bool = False,
    figures: Callable[[str], verdict.Judged | None] = lambda run: None,
) -> GateDecision | None:
    """Publishes the champion's map with the positions of today, where its own are older.

    Args:
        registry: opened, and in line with the champion (`promotion.reconcile`).
        name: of the registered model.
        dataset: whose map.
        wanted: a person has asked for it, so positions that a rollback set aside come in, too.
        config: the gate's rules, for the record.
        figures: what a run comes to with the positions of today, for the record; none where that was not measured.

    Returns:
        What the gate's record says now; None where there was nothing to do.

    Raises:
        LakeError, DataError: the map cannot be built.
    """
    champion = promotion.version_by_alias(registry, name, CHAMPION)
    if champion is None:
        return None
    before = champion.tags.get(MAP, "")
    old = old_positions(registry.lake, dataset, before)
    if old is None:
        return None
    if not wanted and champion.tags.get(SET_ASIDE) == old.digest:
        logger.warning("%s; a rollback set those aside: %s brings them in", old, old.command)
        return None
    version = promotion.build(registry, champion, dataset)
    if version == before:
        return None
    decision = _record(registry, champion, old, version, config, figures(champion.run))
    _publish(registry, champion, dataset, version)
    return decision


def look_for_old_positions(dataset: str, lake: Lake) -> list[str]:
    """What the map that serves says otherwise than the table of references, as a sentence; nothing where all is well."""
    try:
        current = read_current(lake.champion(dataset))
    except LakeError:  # told where registry and map are compared
        return []
    try:
        old = old_positions(lake, dataset, current.serving.map) if current else None
    except LakeError as error:
        return [f"whether the positions of the map are those of the table cannot be told: {error.what}"]
    return [] if old is None else [str(old)]


def _record(
    registry: Registry,
    champion: Version,
    old: OldPositions,
    version: str,
    config: RegisterConfig,
    judged: verdict.Judged | None = None,
) -> GateDecision:
    """Writes why another map serves with the same adapter, before it does."""
    mended = Mended(moved=old.moved, gone=old.gone, total=old.total, furthest_m=old.furthest_m, map_before=old.map, map=version)
    reason = f"positions mended: {old.changes}; the map {version} serves with the same adapter"
    basis = judged.decision if judged is not None else GateDecision(verdict="promoted", reason=reason)
    decision = basis.model_copy(update={"verdict": "promoted", "reason": reason, "positions": mended})
    evidence = judged.evidence if judged is not None else verdict.Evidence(None)
    folder = verdict.keep_decision(registry.lake, champion, decision, evidence, config)
    tracking.log_gate(registry, tracking.find_or_create_run(registry, old.dataset, champion.run), folder)
    promotion.tag(registry, champion, {REASON: reason})
    logger.info("%s", reason)
    return decision


def _publish(registry: Registry, champion: Version, dataset: str, version: str) -> None:
    promotion.tag(registry, champion, {MAP: version})
    promotion.reconcile(registry, champion.model, dataset)
    current = read_current(registry.lake.champion(dataset))
    logger.info("the map %s of %s serves", current.serving.map if current else version, champion.run)

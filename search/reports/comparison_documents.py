"""A comparison for programs."""

import math
from typing import Any

from search import words
from search.reports import comparison_sentences
from search.reports.comparisons import Comparison
from search.reports.entrants import Entrant
from search.reports.evidence import Interval
from search.reports.trajectories import Stairs, Trajectory


def of(found: Comparison) -> dict[str, Any]:
    """Its document; its keys are those of docs/json.md."""
    return {
        "metric": found.metric,
        "direction": "maximize" if found.sign > 0 else "minimize",
        "cost": "cpu" if found.has_cpu_seconds else "training",
        "shared": found.shared,
        "studies": [_study(found, *each) for each in zip(found.entries, found.trajectories, strict=True)],
        "pairs": [
            {
                "studies": [pair.first.label, pair.second.label],
                "difference": pair.difference.mean,
                "half_interval": _half(pair.difference),
                "is_real": pair.difference.is_real,
            }
            for pair in found.pairs
        ],
        "differences": [{"key": key, "values": values} for key, values in found.differences],
        "cautions": comparison_sentences.cautions(found),
        "verdicts": comparison_sentences.verdicts(found),
    }


def _study(found: Comparison, each: Entrant, own: Trajectory) -> dict[str, Any]:
    best, spec, confirmed = each.contender.best, each.spec, each.confirmation
    ends = each.interval
    return {
        "name": each.contender.name,
        "label": each.label,
        "trials": {word: each.contender.states.get(state, 0) for state, word in words.STATES.items()},
        "paused": each.contender.paused,
        "configurations": each.contender.configurations,
        "space_size": None if spec is None else spec.space.size,
        "imported": each.contender.imported,
        "best": best
        and {
            "number": best.number,
            "value": best.value,
            "params": best.params,
            "imported": each.contender.is_best_imported,
        },
        "images": each.images,
        "interval": ends and {"low": ends[0], "high": ends[1]},
        "confirmed": confirmed
        and {
            "by": confirmed.name,
            "mean": confirmed.quoted.mean,
            "half_interval": _half(confirmed.quoted),
            "seeds": confirmed.best.runs.value.count,
        },
        "seconds": round(own.by_cost.end, 3),
        "to_best": _reached(own, each.best, found.sign),
        "to_shared": _reached(own, found.shared, found.sign),
        "best_by_trial": _steps(own.by_trial),
        "best_by_seconds": _steps(own.by_cost),
    }


def _half(interval: Interval) -> float | None:
    return None if math.isnan(interval.half) else interval.half


def _reached(own: Trajectory, value: float | None, sign: int) -> dict[str, Any] | None:
    if value is None or (seconds := own.by_cost.reached(value, sign)) is None:
        return None
    return {"trials": int(own.by_trial.reached(value, sign) or 0), "seconds": round(seconds, 3)}


def _steps(stairs: Stairs) -> list[list[float]]:
    return [[float(x), float(value)] for x, value in zip(stairs.x, stairs.values, strict=True)]

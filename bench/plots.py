"""Plots of a run, as PNG files: bars of the median, with whiskers from the least to the most round."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.figures import Result, summary
from bench.goals import Judged, Verdict
from bench.timeline import STEP_BY_STEP, STEPS

_FLOOR = ("empty", "update", "none")
"""Words in the names of what the rest stands beside."""

_COLOURS = {
    Verdict.MET: "#4477aa",
    Verdict.TOLERATED: "#88ccee",
    Verdict.MISSED: "#cc6677",
    Verdict.INCONCLUSIVE: "#bbbbbb",
    Verdict.INCOMPLETE: "#555555",
}


def draw(results: Sequence[Result], goals: Sequence[Judged], folder: Path) -> list[Path]:
    """Draw what was measured into `folder`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    if any(judged.figure for judged in goals):
        files.append(_draw_goals(goals, folder / "goals.png"))
    for result in results:
        if result.scenario == "change":
            files.append(_draw_latencies(result, folder / f"latency-{result.database}.png"))
            files.append(_draw_load(result, folder / f"load-{result.database}.png"))
        if any(name.startswith(STEP_BY_STEP) for name in result.series):
            files.append(_draw_steps(result, folder / f"steps-{result.database}.png"))
        if result.scenario == "fairness":
            files.append(_draw_fairness(result, folder / f"fairness-{result.database}.png"))
        if result.scenario == "waiting":
            files.append(_draw_waiting(result, folder / f"waiting-{result.database}.png"))
    return files


def _save(figure: Figure, file: Path) -> Path:
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return file


def _draw_goals(goals: Sequence[Judged], file: Path) -> Path:
    """Each goal's ratio as a share of its limit: left of 1 is met."""
    shown = [judged for judged in goals if judged.figure]
    figure, axes = plt.subplots(figsize=(10, 0.45 * len(shown) + 1.2))
    for place, judged in enumerate(reversed(shown)):
        found, limit = judged.figure, judged.goal.limit
        assert found is not None
        low, high = (found.median - found.least) / limit, (found.most - found.median) / limit
        colour = _COLOURS[judged.verdict]
        axes.barh(place, found.median / limit, xerr=[[low], [high]], color=colour, capsize=3)
    axes.axvline(1, color="#cc3311")
    axes.set_yticks(range(len(shown)))
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_yticklabels([_label(one) for one in reversed(shown)], fontsize=8)
    axes.set_xlabel("share of the limit (whiskers: least and most round)")
    verdicts = [verdict for verdict in _COLOURS if any(one.verdict is verdict for one in shown)]
    axes.legend([Patch(color=_COLOURS[verdict]) for verdict in verdicts], verdicts, loc="lower right")
    return _save(figure, file)


def _label(judged: Judged) -> str:
    name = judged.goal.name
    return name if judged.database == "none" else f"{name} ({judged.database})"


def _draw_latencies(result: Result, file: Path) -> Path:
    figure, axes = plt.subplots(figsize=(9, 4.5))
    prefix = "one at a time: "
    names = [name for name in result.series if name.startswith(prefix) and name.endswith(" p50")]
    _bars(axes, result, names, [name.removeprefix(prefix).removesuffix(" p50") for name in names])
    axes.set_xlabel("ms, one at a time (p50; whiskers: least and most round)")
    axes.set_title(f"Beside the floor, on {result.database}")
    return _save(figure, file)


def _bars(axes: Axes, result: Result, names: Sequence[str], labels: Sequence[str]) -> None:
    for place, name in enumerate(reversed(names)):
        found = summary(result.series[name].rounds)
        error = [[found.median - found.least], [found.most - found.median]]
        colour = "#999999" if any(word in name for word in _FLOOR) else "#4477aa"
        axes.barh(place, found.median, xerr=error, color=colour, capsize=3)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(list(reversed(labels)), fontsize=8)


def _draw_load(result: Result, file: Path) -> Path:
    """Draw the rate of each kind by how many are made at once."""
    figure, axes = plt.subplots(figsize=(8, 4.5))
    kinds: dict[str, dict[int, list[float]]] = {}
    for name, series in result.series.items():
        load, _, rest = name.partition(" at once: ")
        if rest.endswith(": rate"):
            kinds.setdefault(rest.removesuffix(": rate"), {})[int(load)] = series.rounds
    for kind, by_load in kinds.items():
        loads = sorted(by_load)
        found = [summary(by_load[load]) for load in loads]
        error = [[one.median - one.least for one in found], [one.most - one.median for one in found]]
        axes.errorbar(loads, [one.median for one in found], yerr=error, marker="o", capsize=3, label=kind)
    axes.set_xscale("log")
    measured = sorted({load for by_load in kinds.values() for load in by_load})
    axes.set_xticks(measured, [str(load) for load in measured])
    axes.minorticks_off()
    axes.set_xlabel("at once")
    axes.set_ylabel("a second (median; whiskers: least and most round)")
    axes.set_title(f"Rates, on {result.database}")
    axes.legend()
    return _save(figure, file)


def _draw_steps(result: Result, file: Path) -> Path:
    """Draw what each step of a change takes, ours above that of the empty shape."""
    figure, axes = plt.subplots(figsize=(10, 6.5))
    names = [name for name in result.series if name.startswith(STEP_BY_STEP)]
    names.sort(key=lambda name: (STEPS.index(name.split(": ")[2]), "shape" in name))
    _bars(axes, result, names, [name.removeprefix(STEP_BY_STEP) for name in names])
    axes.set_xlabel("ms, one at a time (p50; whiskers: least and most round)")
    axes.set_title(f"A change step by step, beside its empty shape, on {result.database}")
    return _save(figure, file)


def _draw_fairness(result: Result, file: Path) -> Path:
    """Draw what a neighbour waits for beside a burst and beside none, and the burst itself."""
    figure, axes = plt.subplots(figsize=(9, 5.5))
    names = [
        f"{whose}: {step} {share}"
        for step in ("request", "mail", "code")
        for whose in ("beside none", "beside the burst", "the burst")
        for share in ("p50", "p99")
    ]
    _bars(axes, result, names, names)
    axes.set_xscale("log")
    axes.set_xlabel("ms (whiskers: least and most round)")
    axes.set_title(f"A neighbour's change beside a burst of one account, on {result.database}")
    return _save(figure, file)


def _draw_waiting(result: Result, file: Path) -> Path:
    """Draw the rate of starting by thousand, and memory and a new request by how many wait."""
    figure, (rate, weight, beside) = plt.subplots(1, 3, figsize=(12, 3.8))
    started = result.series["started"].rounds
    rate.plot(range(1, len(started) + 1), started, marker="o", markersize=3)
    rate.set_title("Started a second, by thousand")
    for part, found in _by_level(result, " growth").items():
        weight.plot(*zip(*sorted(found.items()), strict=True), marker="o", label=part)
    weight.set_title("Growth in MB, by how many wait")
    weight.legend()
    for share in ("p50", "p99"):
        (found,) = _by_level(result, f"new request {share}").values()
        beside.plot(*zip(*sorted(found.items()), strict=True), marker="o", label=share)
    beside.set_title("A new request in ms, by how many wait")
    beside.legend()
    for axes in (rate, weight, beside):
        axes.set_ylim(bottom=0)
    figure.suptitle(f"Changes that wait for their code, on {result.database}")
    return _save(figure, file)


def _by_level(result: Result, ending: str) -> dict[str, dict[int, float]]:
    """Return the medians of `N waiting: PART ENDING`, by part and N."""
    found: dict[str, dict[int, float]] = {}
    for name, series in result.series.items():
        level, waiting, what = name.partition(" waiting: ")
        if waiting and what.endswith(ending):
            found.setdefault(what.removesuffix(ending), {})[int(level)] = summary(series.rounds).median
    return found

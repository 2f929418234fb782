"""What bench/train/run has measured, as a table and as pictures."""

import csv
import json
import math
import pathlib
import statistics
from dataclasses import asdict, dataclass
from typing import Any

# Steps of variants that add in another order drift apart by rounding; bf16 rounds every gradient.
# A ResNet multiplies either by some thousands in its first steps.
CLOSE = {"paceline-bf16": 0.1}
CLOSE_BY_DEFAULT = 0.05
LONERS = ("no-sync", "ddp-alone")  # whose ranks learn each for itself
COLOURS = {"no-sync": "#999999", "ddp-alone": "#555555", "gloo": "#D55E00", "paceline": "#0072B2",
           "paceline-average": "#003f63", "paceline-bf16": "#009E73"}


Losses = dict[tuple[str, str], list[float]]  # by model and variant; one for each step


@dataclass
class Row:
    """One variant of one model."""

    model: str
    variant: str
    step_ms: float  # median over all steps, of the slowest rank
    p90_ms: float
    exposed_ms: float  # more than no-sync in the same round, median over the rounds
    exposed_low_ms: float  # where that median lies with 95 % confidence
    exposed_high_ms: float
    samples_per_s: float
    last_loss: float
    worst_difference: float  # of its losses to gloo's, relative to the first one


def read(path: pathlib.Path) -> tuple[list[Row], Losses]:
    """From the lines that ranks.py has written."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    # By model and variant: the steps of each round. A machine's speed changes from one to the next.
    times: dict[tuple[str, str], list[list[float]]] = {}
    ends: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        key = (line["model"], line["variant"])
        if "seconds" in line:
            times.setdefault(key, []).append(line["seconds"])
        else:
            ends[key] = line
    rows = []
    for (model, variant), end in ends.items():
        rounds = times[model, variant]
        taken = sorted(second for steps in rounds for second in steps)
        step = statistics.median(taken)
        alone = times.get((model, "no-sync"), [[math.nan]] * len(rounds))
        exposed = sorted(1e3 * (statistics.median(mine) - statistics.median(without))
                         for mine, without in zip(rounds, alone))
        other = ends.get((model, "gloo"), end)["losses"]
        difference = max(abs(a - b) for a, b in zip(end["losses"], other)) / abs(other[0])
        rows.append(Row(model, variant, 1e3 * step, 1e3 * taken[math.ceil(0.9 * len(taken)) - 1],
                        statistics.median(exposed), *confidence(exposed),
                        end["samples"] / step, end["losses"][-1], difference))
    return rows, {key: end["losses"] for key, end in ends.items()}


def confidence(values: list[float]) -> tuple[float, float]:
    """Between which two of the sorted values their distribution's median lies with 95 % confidence:
    how many values are below it is binomial, near enough normal with deviation sqrt(n) / 2."""
    beside = max(0, math.floor((len(values) - 1.96 * math.sqrt(len(values))) / 2))
    return values[beside], values[-1 - beside]


def wrong(rows: list[Row]) -> list[str]:
    """Variants that have learned something else than gloo's."""
    return [f"{row.model}: the losses of {row.variant} differ from gloo's by "
            f"{row.worst_difference:.1%}"
            for row in rows if row.variant not in LONERS
            and not row.worst_difference < CLOSE.get(row.variant, CLOSE_BY_DEFAULT)]


def text(rows: list[Row]) -> str:
    """The table."""
    lines = [f"{'model':8} {'variant':18} {'step ms':>9} {'p90':>9} {'exposed':>9} "
             f"{'95 % within':>17} {'samples/s':>10} {'last loss':>10} {'loss diff':>10}"]
    for row in rows:
        lines.append(f"{row.model:8} {row.variant:18} {row.step_ms:9.1f} {row.p90_ms:9.1f} "
                     f"{row.exposed_ms:9.1f} "
                     f"{f'{row.exposed_low_ms:.1f}..{row.exposed_high_ms:.1f}':>17} "
                     f"{row.samples_per_s:10.1f} {row.last_loss:10.4f} {row.worst_difference:10.1e}")
    return "\n".join(lines) + "\n"


def write(rows: list[Row], losses: Losses, folder: pathlib.Path) -> str:
    """summary.csv, summary.txt and pictures; why there are none of the last, or nothing."""
    with open(folder / "summary.csv", "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    (folder / "summary.txt").write_text(text(rows), encoding="utf-8")
    try:
        import matplotlib
    except ImportError:
        return "the plots are left out: no matplotlib here (pip install matplotlib)"
    matplotlib.use("Agg")
    _draw_steps(rows, folder)
    _draw_losses(losses, folder)
    return ""


def _draw_steps(rows: list[Row], folder: pathlib.Path) -> None:
    """Above the steps, below what of them each variant adds, with how sure that is."""
    from matplotlib import pyplot
    models = list(dict.fromkeys(row.model for row in rows))
    figure, axes = pyplot.subplots(2, len(models), figsize=(4.5 * len(models), 7), squeeze=False)
    for (above, below), model in zip(axes.T, models):
        mine = [row for row in rows if row.model == model]
        names = [row.variant.replace("-", "-\n", 1) for row in mine]
        colours = [COLOURS[row.variant] for row in mine]
        above.bar(names, [row.step_ms for row in mine], color=colours)
        above.set_title(model)
        above.set_ylabel("step (ms, median)")
        sure = [[row.exposed_ms - row.exposed_low_ms for row in mine],
                [row.exposed_high_ms - row.exposed_ms for row in mine]]
        below.bar(names, [row.exposed_ms for row in mine], color=colours, yerr=sure, capsize=4)
        below.set_ylabel("more than no-sync (ms, 95 %)")
        for axis in (above, below):
            axis.tick_params(axis="x", labelsize=7)
    figure.tight_layout()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"steps.{kind}", dpi=150)


def _draw_losses(losses: Losses, folder: pathlib.Path) -> None:
    """Curves that coincide are drawn thinner and thinner, so that each is seen."""
    from matplotlib import pyplot
    models = list(dict.fromkeys(model for model, _ in losses))
    figure, axes = pyplot.subplots(1, len(models), figsize=(4.5 * len(models), 4), squeeze=False)
    for axis, model in zip(axes[0], models):
        mine = {variant: curve for (of, variant), curve in losses.items()
                if of == model and variant not in LONERS}
        for number, (variant, curve) in enumerate(mine.items()):
            axis.plot(range(1, len(curve) + 1), curve, label=variant, color=COLOURS[variant],
                      linewidth=2 * (len(mine) - number) - 1)
        axis.set_title(model)
        axis.set_xlabel("step")
        axis.set_ylabel("loss, mean of the ranks")
        axis.legend(fontsize=7)
    figure.tight_layout()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"losses.{kind}", dpi=150)

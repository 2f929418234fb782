"""What came out: results.csv as it comes, then summary.csv, and report.md with tables."""

import csv
import dataclasses
import pathlib
import statistics

from peers import OURS

COLUMNS = ["round", "library", "collective", "where", "ranks", "in_place", "bytes", "latency_us",
           "latency_min_us", "back_to_back_us", "calls", "cpu_s_per_gb", "line_ns", "errors",
           "status"]
METRICS = {
    "latency_us": "Latency: one call at a time, in us",
    "back_to_back_us": "Back to back: call after call, in us each",
    "cpu_s_per_gb": "Processor time: seconds of all ranks for 10^9 bytes of size, back to back",
}
PER_BYTE = "cpu_s_per_gb"
LARGE = 16 << 10  # below, a call costs what it costs, whatever its bytes
NONE = "-"
FOR_QUARTERS = 5  # rounds
# Cores are far from each other where a cache line takes so many times what it takes in the quickest
# tenth of what was measured; and are reported apart if that was so for such a share of it.
FAR = 1.75
WORTH_A_TABLE = 0.1


def name_of(size: int) -> str:
    for letter, factor in (("Mi", 1 << 20), ("Ki", 1 << 10)):
        if size % factor == 0 and size > 0:
            return f"{size // factor} {letter}B"
    return f"{size} B"


def bus_factor(collective: str, ranks: int) -> float:
    """What the busiest wire of a rank carries, in sizes; as nccl-tests define it."""
    if collective == "broadcast":
        return 1.0
    return (2.0 if collective == "all_reduce" else 1.0) * (ranks - 1) / ranks


class Results:
    """The rows, each of which is in results.csv as soon as it is known."""

    def __init__(self, folder: pathlib.Path):
        self.rows: list[dict] = []
        self._file = open(folder / "results.csv", "w", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, COLUMNS, restval="", lineterminator="\n")
        self._csv.writeheader()

    def add(self, row: dict):
        self.rows.append(row)
        self._csv.writerow({key: row.get(key, "") for key in COLUMNS})
        self._file.flush()

    def close(self):
        self._file.close()

    @property
    def wrong(self) -> list[dict]:
        return [row for row in self.rows if row.get("errors")]

    @property
    def troubled(self) -> list[dict]:
        return [row for row in self.rows if row["status"] in ("hung", "failed")]


@dataclasses.dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float
    quarter: float  # a quarter of the rounds were as quick, or quicker

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values),
                   sorted(values)[(len(values) - 1) // 4])


class Summary:
    """Over the rounds: (collective, library, bytes, metric) -> Spread."""

    def __init__(self, results: Results, libraries: list[str], limits: list[str],
                 rows: list[dict] | None = None):
        """`rows`: some of the results' instead of all."""
        self.limits = limits
        self.libraries = libraries
        self.collectives = list(dict.fromkeys(row["collective"] for row in results.rows))
        self._troubled = {(r["collective"], r["library"], r["bytes"]): r["status"]
                          for r in results.rows if r["status"] in ("hung", "failed", "not run")}
        self._not_offered = {(row["collective"], row["library"]) for row in results.rows
                             if row["status"] == "not offered"}
        self._wrong = {(r["collective"], r["library"], r["bytes"]) for r in results.wrong}
        figures: dict[tuple, list[float]] = {}
        for row in results.rows if rows is None else rows:
            if row["status"] == "ok":
                for metric in METRICS:
                    key = (row["collective"], row["library"], row["bytes"], metric)
                    figures.setdefault(key, []).append(row[metric])
        self.spreads = {key: Spread.of(v) for key, v in figures.items()}
        self.rounds = {key[:3]: len(v) for key, v in figures.items()}

    def sizes(self, collective: str) -> list[int]:
        return sorted({key[2] for key in [*self.spreads, *self._troubled] if key[0] == collective})

    def median(self, collective: str, library: str, size: int, metric: str) -> float | None:
        return self.value(collective, library, size, metric, "median")

    def value(self, collective: str, library: str, size: int, metric: str,
              of: str) -> float | None:
        """`of`: which field of Spread."""
        spread = self.spreads.get((collective, library, size, metric))
        return getattr(spread, of) if spread else None

    def cell(self, collective: str, library: str, size: int, metric: str, of: str) -> str:
        """With a mark where a round had no or a wrong result."""
        value = self.value(collective, library, size, metric, of)
        mark = " WRONG" if (collective, library, size) in self._wrong else ""
        trouble = self._troubled.get((collective, library, size), "")
        if value is None:
            return trouble or NONE
        return figure(value) + mark + (f" ({trouble})" if trouble else "")

    def has(self, collective: str, library: str) -> bool:
        return (collective, library) not in self._not_offered

    def _place(self, key: tuple[str, str, int]) -> tuple[int, int, int]:
        collective, library, size = key
        return self.collectives.index(collective), self.libraries.index(library), size

    def write(self, path: pathlib.Path, where: str, ranks: int, tensors: int):
        head = ["collective", "where", "ranks", "tensors", "bytes", "library", "is_limit", "rounds", "errors"]
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(head + [f"{metric}_{of}" for metric in METRICS
                                 for of in ("median", "min", "max", "quarter")]
                         + ["bus_gb_s_median", "bus_gb_s_min", "bus_gb_s_max"])
            for collective, library, size in sorted(self.rounds, key=self._place):
                row = [collective, where, ranks, tensors, size, library, int(library in self.limits),
                       self.rounds[collective, library, size],
                       int((collective, library, size) in self._wrong)]
                for metric in METRICS:
                    spread = self.spreads[collective, library, size, metric]
                    row += [f"{v:.6g}" for v in (spread.median, spread.least, spread.most,
                                               spread.quarter)]
                time = self.spreads[collective, library, size, "back_to_back_us"]
                bus = tensors * size * bus_factor(collective, ranks) * 1e-3
                row += [f"{bus / v:.6g}" for v in (time.median, time.most, time.least)]
                out.writerow(row)


@dataclasses.dataclass(frozen=True)
class Distances:
    """How long a cache line took between the cores of two ranks while each row was measured."""
    times: list[float]  # ns, in order
    limit: float
    near: list[dict]
    far: list[dict]

    @classmethod
    def of(cls, rows: list[dict]) -> "Distances | None":
        timed = [row for row in rows if row["status"] == "ok" and row.get("line_ns")]
        if not timed:
            return None
        times = sorted(row["line_ns"] for row in timed)
        limit = FAR * times[len(times) // 10]
        return cls(times, limit, [row for row in timed if row["line_ns"] <= limit],
                   [row for row in timed if row["line_ns"] > limit])

    def differ(self) -> bool:
        return len(self.far) >= WORTH_A_TABLE * len(self.times)

    def __str__(self) -> str:
        return (f"{self.times[0]:.0f} to {self.times[-1]:.0f} ns, "
                f"{statistics.median(self.times):.0f} in the middle")


def figure(value: float) -> str:
    """Three digits, or all of a large number's."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(summary: Summary, collective: str, metric: str, of: str = "median") -> list[str]:
    """A line for each size; our columns, the others', the limits', and how they compare."""
    here = [lib for lib in summary.libraries if summary.has(collective, lib)]
    ours = [lib for lib in OURS if lib in here]
    limits = [lib for lib in here if lib in summary.limits]
    others = [lib for lib in here if lib not in ours and lib not in limits]
    compares = metric != PER_BYTE
    head = ["size", *ours, *others, *(limits if compares else [])]
    if others:
        head += ["best of the others", *(f"{lib} / best" for lib in ours)]
    if limits and ours and compares:
        head.append("of the limit")
    lines = []
    for size in summary.sizes(collective):
        if metric == PER_BYTE and size < LARGE:
            continue

        def values(libraries: list[str]) -> dict[str, float]:
            found = {lib: summary.value(collective, lib, size, metric, of) for lib in libraries}
            return {lib: value for lib, value in found.items() if value is not None}

        line = [name_of(size)] + [summary.cell(collective, lib, size, metric, of)
                                  for lib in head[1:] if lib in here]
        mine, theirs, least = values(ours), values(others), values(limits)
        if others:
            best = min(theirs, key=theirs.get) if theirs else NONE
            line.append(best)
            line += [f"{mine[lib] / theirs[best]:.2f}" if lib in mine and theirs and theirs[best]
                     else NONE for lib in ours]
        if limits and ours and compares:
            line.append(f"{min(least.values()) / min(mine.values()):.2f}" if least and mine
                        else NONE)
        lines.append(line)
    return _markdown(head, lines)


def _markdown(head: list[str], lines: list[list[str]], right: bool = True) -> list[str]:
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]

    def row(cells: list[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w in zip(cells, widths))
        return f"| {' | '.join(padded)} |"

    dashes = ("-" * (w + 1) + (":" if right else "-") for w in widths)
    return [row(head), f"|{'|'.join(dashes)}|", *map(row, lines)]


def _by_distance(distances: Distances, summary: Summary, results: Results,
                 collective: str) -> list[str]:
    lines = []
    for where, rows, than in (("near each other", distances.near, "at most"),
                              ("far from each other", distances.far, "more than")):
        part = Summary(results, summary.libraries, summary.limits, rows)
        share = 100 * len(rows) / len(distances.times)
        lines += ["", f"## {collective}. Latency, where the two cores were {where} ({than} "
                  f"{distances.limit:.0f} ns; {share:.0f} % of what was measured)", "",
                  *table(part, collective, "latency_us")]
    return lines


@dataclasses.dataclass
class Account:
    """What a report says besides figures."""
    title: str
    facts: dict[str, str]
    libraries: list[tuple[str, str, str]]  # name, version, settings
    left_out: list[str]
    warnings: list[str]


def markdown(account: Account, summary: Summary, results: Results) -> str:
    lines = [f"# {account.title}", ""]
    lines += [f"- {name}: {value}" for name, value in account.facts.items()]
    distances = Distances.of(results.rows)
    if distances:
        lines.append(f"- a cache line takes from core to core: {distances}")
    for row in results.wrong:
        lines += ["", f"**WRONG RESULTS**: {row['library']}, {row['collective']} of "
                  f"{name_of(row['bytes'])}, round {row['round']}: {row['errors']} elements"]
    for row in results.troubled:
        lines += ["", f"**{row['status']}**: {row['library']}, {row['collective']} of "
                  f"{name_of(row['bytes'])}, round {row['round']}; see the folder logs"]
    lines += [text for warning in account.warnings for text in ("", f"**Note**: {warning}")]
    lines += ["", "Medians over the rounds; summary.csv has the smallest and the largest as well. "
              "A ratio below 1 is for Paceline: its time by that of the fastest other library. "
              '"Of the limit" is the time of the fastest limit by the faster one of Paceline\'s.']
    for collective in summary.collectives:
        for metric, title in METRICS.items():
            lines += ["", f"## {collective}. {title}", "", *table(summary, collective, metric)]
            if metric == "latency_us" and max(summary.rounds.values(), default=0) >= FOR_QUARTERS:
                lines += ["", f"## {collective}. Latency, of the quicker quarter of the rounds", "",
                          *table(summary, collective, metric, "quarter")]
            if metric == "latency_us" and distances and distances.differ():
                lines += _by_distance(distances, summary, results, collective)
    lines += ["", "## What was measured", "", *_markdown(
        ["library", "version", "settings"], [list(library) for library in account.libraries],
        right=False)]
    if account.left_out:
        lines += ["", "Left out:", "", *(f"- {text}" for text in account.left_out)]
    return "\n".join(lines) + "\n"

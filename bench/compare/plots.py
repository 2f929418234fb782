"""Pictures of a summary.csv: time and bus bandwidth over size, as PNG and SVG.

    python3 plots.py FOLDER

run calls it with a Python that has matplotlib, which need not be its own.
"""

import csv
import pathlib
import shutil
import subprocess
import sys

# Colours that differ for those too who see fewer of them, by Okabe and Ito; ours are the blues.
OURS = {"paceline": "#0072B2", "paceline-allocate": "#003f63"}
OTHERS = ["#D55E00", "#009E73", "#CC79A7", "#E69F00", "#8C564B", "#7F3FBF", "#56B4E9", "#B8A600",
          "#E15759"]
MARKERS = "sD^vP*X<>"
WITHOUT = ("the plots are left out: no Python here has matplotlib (apt-get install "
           "python3-matplotlib)")


def draw(folder: pathlib.Path) -> str:
    """Draws in a process of its own; returns why not, or an empty text."""
    for python in filter(None, dict.fromkeys([sys.executable, shutil.which("python3"),
                                              "/usr/bin/python3"])):
        has = subprocess.run([python, "-c", "import matplotlib"], capture_output=True, check=False)
        if has.returncode == 0:
            result = subprocess.run([python, __file__, str(folder)], capture_output=True, text=True,
                                    check=False)
            return "" if result.returncode == 0 else f"the plots failed: {result.stderr.strip()}"
    return WITHOUT


def _size_name(size: float, _=None) -> str:
    for letter, factor in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if size >= factor:
            return f"{size / factor:g} {letter}B"
    return f"{size:g} B"


def _look_of(libraries: list[str]) -> dict[str, dict]:
    looks, others = {}, 0
    for name in libraries:
        if name in OURS:
            looks[name] = {"color": OURS[name], "marker": "o", "linewidth": 2.4, "zorder": 4}
        else:
            looks[name] = {"color": OTHERS[others % len(OTHERS)], "linewidth": 1.5, "zorder": 3,
                           "marker": MARKERS[others % len(MARKERS)]}
            others += 1
    return looks


def _best_limit(rows: list[dict], column: str, best) -> dict[int, float]:
    """Of several limits, the one that leaves the least to be desired at each size."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if row["is_limit"] == "1":
            values.setdefault(int(row["bytes"]), []).append(float(row[column]))
    return {size: best(values[size]) for size in sorted(values)}


def _picture(plt, rows: list[dict], looks: dict, columns: str, title: str, label: str):
    from matplotlib import ticker
    figure, axes = plt.subplots(figsize=(10, 5.6), layout="constrained")
    axes.set_xscale("log", base=2)
    logarithmic = columns == "latency_us"
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:,.10g}"))
    for name, look in looks.items():
        mine = sorted((int(r["bytes"]), float(r[f"{columns}_median"]), float(r[f"{columns}_min"]),
                       float(r[f"{columns}_max"])) for r in rows if r["library"] == name)
        if not mine:
            continue
        sizes, middle, least, most = zip(*mine)
        axes.plot(sizes, middle, label=name, markersize=5, **look)
        axes.fill_between(sizes, least, most, color=look["color"], alpha=0.12, linewidth=0)
    limits = _best_limit(rows, f"{columns}_median", min if logarithmic else max)
    if limits:
        axes.plot(list(limits), list(limits.values()), label="limit: loops by hand", color="black",
                  linestyle="--", linewidth=1.3, zorder=2)
    ticks = sorted({int(r["bytes"]) for r in rows})
    if len(ticks) <= 14:
        axes.xaxis.set_major_locator(ticker.FixedLocator(ticks))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(_size_name))
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right")
    axes.set_xlabel("size of the longer buffer of a rank")
    axes.set_ylabel(label)
    if not logarithmic:
        # A single lucky round must not press all the others to the ground.
        tops = [float(r[f"{columns}_median"]) for r in rows if r["is_limit"] == "0"]
        axes.set_ylim(0, 1.15 * max(tops + list(limits.values())))
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def main(folder: pathlib.Path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    with open(folder / "summary.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    looks = _look_of(list(dict.fromkeys(r["library"] for r in rows if r["is_limit"] == "0")))
    for collective in dict.fromkeys(r["collective"] for r in rows):
        some = [r for r in rows if r["collective"] == collective]
        what = f"{collective}, {some[0]['ranks']} ranks, {some[0]['where']}, float32"
        spread = (f"\nmedian of {max(int(r['rounds']) for r in some)} rounds; shaded: from the "
                  "smallest to the largest")
        for name, columns, title, label in (
                ("time", "latency_us", f"{what}: time of one call{spread}", "time (us)"),
                ("bandwidth", "bus_gb_s", f"{what}: bus bandwidth, back to back{spread}",
                 "bus bandwidth (GB/s, GB = $10^9$ bytes)")):
            figure = _picture(plt, some, looks, columns, title, label)
            for suffix in ("png", "svg"):
                figure.savefig(folder / f"{collective}-{name}.{suffix}", dpi=130)
            plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

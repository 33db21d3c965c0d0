"""Rows of figures, and what is written of them: the table in Markdown, everything as JSON, curves as CSV and a plot."""

import csv
import dataclasses
import json
import statistics


def median(values):
    return statistics.median(values)


def spread(values, scale=1.0, digits=1):
    values = [v * scale for v in values]
    text = f"{median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


@dataclasses.dataclass
class Row:
    """One line of the table. `judged` holds, round by round, what the bar is about: a ratio, or ours itself."""

    work: str
    threads: str
    unit: str
    ours: list
    peer: list = dataclasses.field(default_factory=list)  # llama.cpp, or what `against` names
    against: str = "llama.cpp"
    judged: list = dataclasses.field(kw_only=True)
    bar: str = dataclasses.field(kw_only=True)  # "≥ 2.5 ×", "≤ 30 ms"
    limit: str = ""
    scale: float = 1.0  # from what is kept to the unit that is shown
    digits: int = 1
    also: bool = True  # what the bar asks for besides the figure (identical ids)
    own: float | None = None  # a second figure that is held against the same bar: our work without OpenGL's drawing

    def passes(self, value):
        bound = float(self.bar.split()[1])
        return value >= bound if self.bar.startswith("≥") else value <= bound

    def met(self):
        return self.also and self.passes(median(self.judged))

    def cells(self):
        met = "yes" if self.met() else "**no**"
        if self.own is not None:
            met += f" (own work: {'yes' if self.passes(self.own) else 'no'})"
        peer = spread(self.peer, self.scale, self.digits) if self.peer else "—"
        if self.peer and self.against != "llama.cpp":
            peer += f" {self.against}"
        ratio = spread(self.judged, 1, 2) + " ×" if self.bar.endswith("×") else "—"
        if self.peer and ratio == "—" and len(self.peer) == len(self.ours):
            ratio = f"{median(self.ours) / median(self.peer):.2f} ×"
        return [self.work, self.threads, f"{spread(self.ours, self.scale, self.digits)} {self.unit}", peer, ratio, self.bar, met, self.limit]


COLUMNS = ["work", "threads", "glassbox", "peer (llama.cpp)", "ratio", "bar", "met", "share of the machine's limit"]


def table(rows):
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


def write(folder, stem, markdown, result, curves):
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{stem}.md", folder / f"{stem}.json"]
    written[0].write_text(markdown + "\n", encoding="utf-8")
    written[1].write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if curves:
        written.append(folder / f"{stem}.csv")
        with open(written[-1], "w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, ["curve", "x", "x_unit", "side", "threads", "value", "unit"], lineterminator="\n")
            lines.writeheader()
            lines.writerows(curves)
        if plot(folder / f"{stem}.svg", curves):
            written.append(folder / f"{stem}.svg")
    return written


COLOURS = {"glassbox": "#2a78d6", "llama.cpp": "#d1603d", "tokenizers": "#5c9c57", "tiktoken": "#8a6bbe"}


def plot(path, curves):
    """One small drawing a curve. False when matplotlib is not there."""
    try:
        import matplotlib

        matplotlib.use("svg")
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "glassbox", "font.family": "sans-serif"})
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    names = list(dict.fromkeys(point["curve"] for point in curves))
    columns = 3
    figure, axes = plt.subplots(-(-len(names) // columns), columns, figsize=(12, 3.4 * -(-len(names) // columns)), squeeze=False)
    for axis in axes.flat[len(names):]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names):
        points = [point for point in curves if point["curve"] == name]
        for side in dict.fromkeys(point["side"] for point in points):
            line = [point for point in points if point["side"] == side]
            axis.plot([p["x"] for p in line], [p["value"] for p in line], marker="o", markersize=3, color=COLOURS.get(side), label=side)
        if max(p["x"] for p in points) > 8:
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
        ticks = sorted({p["x"] for p in points})
        axis.set_xticks(ticks, [short(x) for x in ticks], fontsize=7)
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(points[0]["x_unit"], fontsize=8)
        axis.set_ylabel(points[0]["unit"], fontsize=8)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    return True


def short(x):
    return f"{x // 1048576}M" if x >= 1048576 and x % 1048576 == 0 else f"{x // 1024}k" if x >= 1024 and x % 1024 == 0 else str(x)

"""Our engine and its peers in turns on this machine: one table of medians, spreads, ratios, bars and shares of the limits.

Called by tests/bench/run, which builds and installs what it needs. Machines differ and are noisy: only what was measured in one
run is compared, round by round.
"""

import argparse
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

import curves
import report
import rows
import texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("engine", "tokenising", "start", "window")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--first-token-peer", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--model", required=True, help="a GGUF file (the default model)")
    parser.add_argument("--rounds", type=int, help="rounds taken in turns (7; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="few rounds, less depth: to see that everything works, in two minutes")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given again")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="keep N cores busy beside it")
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="measure the curves too (not with --busy), and write bench.md, .json, .csv, .svg there")
    parser.add_argument("--save", action="store_true", help="the same under tests/bench/results, named by date and processor")
    return parser.parse_args()


class Setup:
    """What is measured, with what."""

    def __init__(self, options):
        self.program, self.tests = options.build / "glassbox", options.build / "tests"
        self.first_token_peer, self.model = options.first_token_peer, options.model
        self.cores = len(os.sched_getaffinity(0))
        self.threads = [count for count in (1, 2) if count <= self.cores]
        self.rounds = options.rounds or (2 if options.quick else 7)
        self.depth = 1024 if options.quick else 4096
        self.curve_context = 1024 if options.quick else 8192
        self.samples = 5 if options.quick else 200
        self.captures = 1 if options.quick else 3  # pairs in a round, of a prefill without and with capture
        self.limits = []  # of each round
        self.about = self.peer_about = None


def limits_line(setup):
    if not setup.limits:
        return ""
    lines = []
    for kind, what, unit in (("read", "memory read at", "GB/s"), ("int8", "int8 products", "Gop/s"), ("bf16", "bf16", "Gop/s"), ("f32", "f32", "Gop/s")):
        values = [rows.limit_of(setup, kind, count) for count in setup.threads]
        if all(values):
            lines.append(f"{what} {' / '.join(f'{value / 1e9:.0f}' for value in values)} {unit}")
    return f"The machine's limits in the same minutes, {' / '.join(map(str, setup.threads))} threads: " + "; ".join(lines) + "."


def measure(setup, options, folder):
    wanted = options.only or PARTS
    text_size = (1 << 18) if options.quick else (1 << 20)
    paths, distinct = texts.write_texts(ROOT, folder, text_size)
    found, notes, extra = [], [], {}

    def say(what):
        print(f"bench: {what}", file=sys.stderr, flush=True)

    if "engine" in wanted:
        say("the engine, in turns with llama.cpp")
        found += rows.engine(setup)
    if "tokenising" in wanted:
        say("tokenising")
        made, notes, extra["tokenising_mb_s"] = rows.tokenising(setup, folder, paths)
        found += made
        notes.append("Texts: " + ", ".join(f"{name} of {text_size >> 10} KiB ({size >> 10} KiB before it repeats)" for name, size in distinct.items())
                     + ", from the files of this repository.")
    if "start" in wanted:
        say("from the start of the process to the first token")
        found += rows.first_token(setup)
    if "window" in wanted:
        say("the window")
        made, extra["window"] = rows.window(setup)
        found += made
    points = []
    if (options.out or options.save) and not options.busy:  # beside a busy core they would take an hour
        say("the curves")
        if setup.about is None:
            with rows.sides.ours(setup, 1) as ours:
                setup.about = ours.ask(do="describe")
        points = curves.measure(setup, folder, paths)
    return found, notes, extra, points


def main():
    options = arguments()
    setup = Setup(options)
    load, begun = os.getloadavg()[0], time.time()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            found, notes, extra, points = measure(setup, options, folder)
    finally:
        for process in busy:
            process.kill()
            process.wait()

    date, name = datetime.date.today().isoformat(), processor()
    head = f"{date} · {name}, {setup.cores} cores · load before: {load:.2f} · median (least–greatest) of {setup.rounds} round{'s' * (setup.rounds > 1)} taken in turns"
    if options.busy:
        head += f" · beside {options.busy} busy core{'s' if options.busy > 1 else ''}"
    if options.quick:
        head += " · quick: figures to see that it works"
    if setup.about:
        head += f"\n\n{setup.about['model']}; glassbox: {setup.about['kernels']}"
    if setup.peer_about:
        head += f"; peer: llama-cpp-python {setup.peer_about['version']}, {' '.join(setup.peer_about['kernels'].split())}"
    parts = [head, report.table(found), limits_line(setup), *notes, f"Measured in {(time.time() - begun) / 60:.1f} minutes."]
    markdown = "\n\n".join(part for part in parts if part)
    print(markdown)

    result = {"date": date, "processor": name, "cores": setup.cores, "load_before": load, "busy": options.busy, "rounds": setup.rounds,
              "engine": setup.about, "peer": setup.peer_about, "rows": [{**vars(row), "met": row.met()} for row in found],
              "limits": setup.limits, "notes": notes, **extra}
    written = []
    if options.out:
        written += report.write(options.out, "bench", markdown, result, points)
    if options.save:
        stem = f"{date}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        stem += "-quick" * options.quick + "-busy" * bool(options.busy)  # beside the quiet run's files, not over them
        written += report.write(ROOT / "tests" / "bench" / "results", stem, markdown, result, points)
    for path in written:
        print(f"bench: wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

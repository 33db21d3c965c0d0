"""Our engine and llama.cpp in turns on one machine; prints one table of medians, spreads and ratios.

    python compare.py --program build/release/glassbox --model FILE.gguf [--rounds 5] [--out results.json]

Machines differ and are noisy: only ratios of one run count. Each round runs ours, then theirs, with the same thread count,
so that a slow minute hits both; the ratio is taken round by round.
"""

import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

PREFILL, DECODE, SHORT = 512, 128, 8  # tokens; decode begins after SHORT tokens


def ours(program, model, threads):
    def bench(*options):
        command = [program, "bench", "-m", model, "-t", str(threads), "--repeat", "1", "--json", *options]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    prefill = bench("--prompt-tokens", str(PREFILL), "-n", "1")["prefill"]["tokens_per_s"]
    decode = bench("--prompt-tokens", str(SHORT), "-n", str(DECODE))["decode"]["tokens_per_s"]
    return {"prefill": prefill, "decode": decode}


def theirs(model, threads):
    script = pathlib.Path(__file__).with_name("peer_llama_cpp.py")
    command = [sys.executable, str(script), model, str(threads), str(PREFILL), str(DECODE)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def first_token(program, model):
    """Seconds from the start of the process to its end after one token."""
    begun = time.perf_counter()
    command = [program, "generate", "-m", model, "-p", "The capital of France is", "-n", "1", "--temp", "0"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def spread(values, digits=1):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out")
    arguments = parser.parse_args()

    rows = []
    for threads in (1, 2):
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append((ours(arguments.program, arguments.model, threads), theirs(arguments.model, threads)))
        for work in ("prefill", "decode"):
            a, b = [ours_[work] for ours_, _ in rounds], [theirs_[work] for _, theirs_ in rounds]
            rows.append({"work": work, "threads": threads, "ours": a, "llama_cpp": b, "ratio": [x / y for x, y in zip(a, b)]})
    starts = [first_token(arguments.program, arguments.model) for _ in range(arguments.rounds)]

    date = datetime.date.today().isoformat()
    print(f"{date} · {processor()} · tokens a second, median (least–greatest) of {arguments.rounds} rounds taken in turns\n")
    print("| work | threads | glassbox | llama.cpp | ratio |\n|---|---|---|---|---|")
    for row in rows:
        tokens = PREFILL if row["work"] == "prefill" else DECODE
        print(f"| {row['work']}, {tokens} tokens | {row['threads']} | {spread(row['ours'])} | {spread(row['llama_cpp'])} | {spread(row['ratio'], 2)} |")
    print(f"\nprocess start to its end after one token: {spread(starts, 3)} s")
    if arguments.out:
        result = {"date": date, "processor": processor(), "rows": rows, "first_token_s": starts}
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

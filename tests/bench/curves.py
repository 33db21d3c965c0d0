"""Cost against context, batch, threads and length of text: points for the CSV and the plot."""

import sides
from report import median
from rows import DECODE, PREFILL, SHORT

MARKS = (128, 256, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16)
LENGTHS = tuple(1 << power for power in range(10, 21, 2))  # bytes
CURVE_TOKENS, BATCH_STEPS = 16, 16


def point(curve, x, x_unit, side, threads, value, unit):
    return {"curve": curve, "x": x, "x_unit": x_unit, "side": side, "threads": threads, "value": round(value, 4), "unit": unit}


def context(pair, marks, rounds, threads):
    """Milliseconds a token: of a prefill between two marks, and of single tokens that end at the mark."""
    points = []
    for side in pair.values():
        side.ask(do="extend", to=CURVE_TOKENS)
    before = CURVE_TOKENS
    for mark in marks:
        depth = mark - CURVE_TOKENS
        for name, side in pair.items():
            seconds = side.ask(do="extend", to=depth)["seconds"]
            points.append(point("prefill against context", mark, "positions", name, threads, 1e3 * seconds / (depth - before), "ms a token"))
        timed = {name: [] for name in pair}
        for _ in range(rounds):
            for name, side in pair.items():
                timed[name].append(side.ask(do="decode", depth=depth, tokens=CURVE_TOKENS)["seconds"])
        for name, seconds in timed.items():
            points.append(point("decode against context", mark, "positions", name, threads, 1e3 * median(seconds) / CURVE_TOKENS, "ms a token"))
        before = depth
    return points


def batch(pair, rounds, threads):
    points = []
    for count in BATCHES:
        timed = {name: [] for name in pair}
        for _ in range(rounds):
            for name, side in pair.items():
                timed[name].append(side.ask(do="batch", sequences=count, depth=SHORT, tokens=BATCH_STEPS)["seconds"])
        for name, seconds in timed.items():
            rate = count * BATCH_STEPS / median(seconds)
            points.append(point("sequences in a batch", count, "sequences", name, threads, rate, "tokens a second"))
    return points


def thread_counts(setup):
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < setup.cores]
    return [*counts, setup.cores]


def threads(setup):
    points = []
    for count in thread_counts(setup):
        with sides.ours(setup, count) as ours, sides.llama_cpp(setup, count) as theirs:
            for name, side in {"glassbox": ours, "llama.cpp": theirs}.items():
                for work, tokens, request in (
                    ("prefill", PREFILL, {"do": "prefill", "tokens": PREFILL}),
                    ("decode", DECODE, {"do": "decode", "depth": SHORT, "tokens": DECODE}),
                ):
                    seconds = median([side.ask(**request)["seconds"] for _ in range(setup.rounds + 1)][1:])
                    points.append(point(f"{work} against threads", count, "threads", name, count, tokens / seconds, "tokens a second"))
    return points


def tokenising(setup, folder, prose):
    text = open(prose, encoding="utf-8").read().encode()
    points = []
    with sides.ours(setup, 1) as ours, sides.llama_cpp(setup, 1) as llama, sides.tokenisers(setup) as others:
        for length in LENGTHS:
            if length > len(text):
                break
            path = f"{folder}/prose-{length}.txt"
            with open(path, "w", encoding="utf-8") as file:
                file.write(text[:length].decode(errors="ignore"))
            for name, side, more in (("glassbox", ours, {}), ("llama.cpp", llama, {}), ("tokenizers", others, {"with": "tokenizers"}),
                                     ("tiktoken", others, {"with": "tiktoken"})):
                answer = side.ask(do="tokenise", file=path, repeat=max(3, min(50, (1 << 18) // length)), **more)
                points.append(point("tokenising against length", length, "bytes of prose", name, 1, answer["bytes"] / 1e6 / median(answer["seconds"]), "MB/s"))
    return points


def measure(setup, folder, texts):
    count = max(setup.threads)
    marks = [mark for mark in MARKS if mark <= min(setup.about["context"], setup.curve_context)]
    with sides.ours(setup, count) as ours, sides.llama_cpp(setup, count) as theirs:
        pair = {"glassbox": ours, "llama.cpp": theirs}
        points = context(pair, marks, setup.rounds, count) + batch(pair, setup.rounds, count)
    return points + threads(setup) + tokenising(setup, folder, texts["prose"])

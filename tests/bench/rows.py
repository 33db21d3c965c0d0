"""The rows of the table: each function measures, round by round and in turns, and returns rows with their bars.

The bars are those of the issue "the fastest way to run and watch a small model on a CPU". A ratio is taken round by round, so
that a slow minute hits both sides; its median is judged.
"""

import pathlib

import sides
from report import Row, median

PREFILL, DECODE, SHORT = 512, 128, 8  # tokens; a short decode begins after SHORT tokens
DEEP_TOKENS = 32  # single tokens that are timed at the great depth
BATCH, BATCH_STEPS = 8, 64


def rates(tokens, answers):
    return [tokens / answer["seconds"] for answer in answers]


def ratios(a, b):
    return [x / y for x, y in zip(a, b)]


def in_turns(setup, pair, works):
    """works: {name: request}. {name: (answers of the one, answers of the other)}; the first round only warms up."""
    found = {name: ([], []) for name in works}
    for turn in range(setup.rounds + 1):
        for name, request in works.items():
            for side in (0, 1) if turn % 2 else (1, 0):
                if pair[side] is None or (side == 1 and request["do"] == "capture"):
                    continue
                answer = pair[side].ask(**request)
                if turn > 0:
                    found[name][side].append(answer)
        if turn > 0:
            setup.limits.append(sides.limits(setup, setup.threads))
    return found


def limit_of(setup, kind, threads):
    found = [limit[kind][threads] for limit in setup.limits if threads in limit.get(kind, {})]
    return median(found) if found else None


def share(setup, kind, threads, needed, *each):
    """How much of the machine's limit is used at a rate of tokens, each of which needs so many bytes or operations."""
    limit = limit_of(setup, kind, threads)
    if not limit:
        return ""
    parts = [f"{100 * needed * median(rate) / limit:.0f} %" for rate in each if rate]
    name = {"read": "reading memory", "int8": "int8 products"}[kind]
    return f"{parts[0]} of {name}" + (f" (peer {parts[1]})" if len(parts) > 1 else "")


def engine(setup):
    """Decode, prefill, depth, with each number of threads; batch and capture."""
    rows = {"decode": [], "prefill": [], "deep": [], "batch": [], "capture": []}
    for threads in setup.threads:
        with sides.ours(setup, threads) as ours, sides.llama_cpp(setup, threads) as theirs:
            setup.about, setup.peer_about = ours.ask(do="describe"), theirs.ask(do="describe")
            works = {
                "decode": {"do": "decode", "depth": SHORT, "tokens": DECODE},
                "prefill": {"do": "prefill", "tokens": PREFILL},
                "deep": {"do": "decode", "depth": setup.depth, "tokens": DEEP_TOKENS},
                "capture": {"do": "capture", "what": "patterns", "tokens": PREFILL, "repeat": setup.captures},
                "summaries": {"do": "capture", "what": "summaries", "tokens": PREFILL, "repeat": setup.captures},
            }
            if threads == max(setup.threads):
                works["one"] = {"do": "batch", "sequences": 1, "depth": SHORT, "tokens": BATCH_STEPS}
                works["batch"] = {"do": "batch", "sequences": BATCH, "depth": SHORT, "tokens": BATCH_STEPS}
            found = in_turns(setup, (ours, theirs), works)
        weights, position = setup.about["weight_bytes"], setup.about["kv_bytes_per_position"]
        for name, title, tokens, bar, kind, needed in (
            ("decode", f"decode, {DECODE} tokens", DECODE, "≥ 2.5 ×", "read", weights + position * (SHORT + DECODE / 2)),
            ("prefill", f"prefill, {PREFILL} tokens", PREFILL, "≥ 5 ×", "int8", 2 * setup.about["products_per_token"]),
            ("deep", f"decode at depth {setup.depth}", DEEP_TOKENS, "≥ 3 ×", "read", weights + position * (setup.depth + DEEP_TOKENS / 2)),
        ):
            a, b = (rates(tokens, answers) for answers in found[name])
            rows[name].append(Row(title, str(threads), "tok/s", a, b, judged=ratios(a, b), bar=bar, limit=share(setup, kind, threads, needed, a, b)))
        if "batch" in found:
            rows["batch"] += batch_rows(threads, found)
        rows["capture"] += capture_rows(threads, found["capture"][0]) + summary_rows(threads, found["summaries"][0])
    return [row for name in rows for row in rows[name]]


def batch_rows(threads, found):
    made = []
    for side, name in ((0, "ours"), (1, "llama.cpp")):
        one, many = rates(BATCH_STEPS, found["one"][side]), rates(BATCH * BATCH_STEPS, found["batch"][side])
        made.append((one, many, ratios(many, one)))
    (one, many, ratio), (peer_one, peer_many, peer_ratio) = made
    note = f"one sequence: {median(one):.1f} tok/s; llama.cpp's batch {median(peer_ratio):.2f} × its one of {median(peer_one):.1f}"
    return [Row(f"batch of {BATCH} sequences, against one of ours", str(threads), "tok/s", many, peer_many, judged=ratio, bar="≥ 5 ×", limit=note)]


def capture_rows(threads, answers):
    extra, write = [answer["extra"] for answer in answers], [answer["write"] for answer in answers]
    size = answers[0]["bytes"] / 1e6
    note = f"{median(extra) / median([a['plain'] for a in answers]):+.1%} of the prefill"
    return [Row(f"all attention maps of a {PREFILL}-token prefill: extra time, against writing {size:.0f} MB", str(threads), "ms", extra, write,
                against="writing", judged=ratios(extra, write), bar="≤ 2 ×", limit=note, scale=1e3)]


def summary_rows(threads, answers):
    with_them, plain = [[answer[key] for answer in answers] for key in ("captured", "plain")]
    size = answers[0]["bytes"] / 1e6
    return [Row(f"a {PREFILL}-token prefill with what all heads' thumbnails and scores are made of, {size:.0f} MB, against the prefill alone",
                str(threads), "ms", with_them, plain, against="the prefill alone", judged=ratios(with_them, plain), bar="≤ 1.1 ×", scale=1e3)]


def first_token(setup):
    threads = max(setup.threads)
    ours, theirs = [], []
    for turn in range(3 * setup.rounds + 1):
        pair = sides.first_token(sides.our_first_token(setup, threads)), sides.first_token(sides.peer_first_token(setup, threads))
        if turn > 0:
            ours.append(pair[0])
            theirs.append(pair[1])
    seconds, peer_seconds = [o[0] for o in ours], [t[0] for t in theirs]
    memory, peer_memory = [o[1] / 2**20 for o in ours], [t[1] / 2**20 for t in theirs]
    return [
        Row("process start → first token, the file in memory already", str(threads), "s", seconds, peer_seconds, judged=seconds, bar="≤ 0.2 s", digits=3),
        Row("peak resident memory of that process", str(threads), "MiB", memory, peer_memory, judged=memory, bar="≤ 150 MiB"),
    ]


def same_ids(folder, name, peer):
    """None, or where the ids of a text begin to differ from ours."""
    a, b = (pathlib.Path(folder, f"{name}.{who}.ids").read_bytes() for who in ("ours", peer))
    if a == b:
        return None
    first = next((i for i in range(min(len(a), len(b)) // 4) if a[4 * i : 4 * i + 4] != b[4 * i : 4 * i + 4]), min(len(a), len(b)) // 4)
    return f"the ids of {name} differ from {peer}'s from token {first} on"


PEERS = ("llama.cpp", "tokenizers", "tiktoken")


def tokenising(setup, folder, texts):
    """texts: {name: path}. Rows, and what is to be said about the ids."""
    found = {(name, who): [] for name in texts for who in ("ours", *PEERS)}
    with sides.ours(setup, 1) as ours, sides.llama_cpp(setup, 1) as llama, sides.tokenisers(setup) as others:
        turns = {
            "ours": lambda **request: ours.ask(**request),
            "llama.cpp": lambda **request: llama.ask(**request),
            **{who: (lambda who: lambda **request: others.ask(**request, **{"with": who}))(who) for who in PEERS[1:]},
        }
        for turn in range(setup.rounds):
            for name, path in texts.items():
                for who, ask in turns.items():
                    ids = {"ids": str(pathlib.Path(folder, f"{name}.{who}.ids"))} if turn == 0 else {}
                    answer = ask(do="tokenise", file=path, repeat=1 if who != "ours" else 3, **ids)
                    found[name, who].append(answer["bytes"] / 1e6 / median(answer["seconds"]))
    rows, notes = [], []
    for name in texts:
        differing = {peer: same_ids(folder, name, peer) for peer in PEERS}
        notes += [note for note in differing.values() if note]
        rate = found[name, "ours"]
        same = [peer for peer in PEERS if not differing[peer]]
        rest = ", ".join(f"{peer} {median(found[name, peer]):.1f}" for peer in PEERS[1:])
        rows.append(Row(f"tokenising {name}", "1", "MB/s", rate, found[name, "llama.cpp"], judged=rate, bar="≥ 20 MB/s",
                        also=not differing["llama.cpp"] and not differing["tokenizers"], limit=f"{rest}; ids equal to {', '.join(same) or 'nobody'}"))
    notes.append(f"1 MiB of one letter: {one_letter(setup, folder):.3f} s.")
    return rows, notes, {f"{name}, {who}": rate for (name, who), rate in found.items()}


def one_letter(setup, folder):
    """Seconds: a single piece, which a search for merges that grows with its square would take hours for."""
    path = pathlib.Path(folder, "letter.txt")
    path.write_text("a" * (1 << 20))
    with sides.ours(setup, 1) as ours:
        return median(ours.ask(do="tokenise", file=str(path), repeat=3)["seconds"])


def window(setup):
    """95th percentiles of bench_window: with the drawing in software that a machine without a graphics card has, and our own
    work alone (OpenGL takes every call and draws nothing). The bar is held against the first, and the second is told."""
    found = sides.window(setup)
    drawn, own = found["drawn"]["rows"], found["without_drawing"]["rows"]
    rows = []
    for name, bar in (
        ("keystroke, 64 tokens, at the end, stage 1", "≤ 30 ms"),
        ("keystroke, 64 tokens, at the end, stage 3", "≤ 30 ms"),
        ("keystroke, 64 tokens, at the start, stage 3: all but the forward", "≤ 25 ms"),
        ("slider, 49 152 tokens", "≤ 3 ms"),
        ("UI work, stage 3, 512 tokens", "≤ 2 ms"),
        ("UI work, stage 3, 512 tokens, playing", "≤ 2 ms"),
    ):
        value, alone = drawn[name]["p95_ms"], own[name]["p95_ms"]
        rows.append(Row(f"{name} (p95 of {drawn[name]['samples']})", "", "ms", [value], judged=[value], bar=bar, digits=2, own=alone,
                        limit=f"median {drawn[name]['median_ms']:.2f}; without OpenGL's drawing p95 {alone:.2f}, median {own[name]['median_ms']:.2f}"))
    return rows, found

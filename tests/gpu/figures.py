"""tests/gpu/run's figures: the engine and llama.cpp in turns on the default model, and the goals with their numbers.

Writes Markdown to standard output. Exit code 1: something did not run, or decoding with and without overlap differs in
its bits. A goal that is missed is said, and is no failure of the run.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from sides import Side  # noqa: E402

MIB = 1 << 20
US, APART = "Glassbox", "without overlap"
NO_PEER = "not run: no peer (tests/gpu/run pack-peer)"

# The project's goals, on an H100 with the default model.
LEAST_DECODE = (2000, 3000)  # tok/s of one stream
LEAST_PREFILL = 200_000  # tok/s of a prompt of 512 tokens
LEAST_RATIO = 2  # of decoding, over llama.cpp's CUDA backend in the same run
MOST_MAPS = 2  # time with all attention maps over that of writing as many bytes


class Work:
    """A request that is asked in turns. ours_alone: llama.cpp cannot be asked for it. prepare: asked before, uncounted."""

    def __init__(self, name, tokens, request, asks=3, ours_alone=False, prepare=None):
        self.name, self.tokens, self.request, self.asks = name, tokens, request, asks
        self.ours_alone, self.prepare = ours_alone, prepare


PREFILL, DECODE, DEEP = "prefill, 512 tokens", "decode, 128 tokens at depth 8", "decode, 32 tokens at depth {}"


def make_work(deep):
    """deep: the positions before the decoding that is to find a long cache."""
    generate = {"do": "generate", "depth": 8, "tokens": 400}
    sampled = {**generate, "temperature": 0.8}
    begin, go_on = {"do": "extend", "to": 512}, {"do": "extend", "to": deep}
    return [
        Work(DECODE, 128, {"do": "decode", "depth": 8, "tokens": 128}),
        Work(PREFILL, 512, {"do": "prefill", "tokens": 512}, asks=5),
        Work("generate, 400 tokens, greedy", 400, generate, asks=1),
        Work("generate, 400 tokens, temperature 0.8, top-k 40", 400, sampled, asks=1, ours_alone=True),
        Work("batch of 8, 32 steps", 256, {"do": "batch", "sequences": 8, "depth": 64, "tokens": 32}),
        Work(f"prefill, 512 to {deep}", deep - 512, go_on, asks=1, prepare=begin),
        Work(DEEP.format(deep), 32, {"do": "decode", "depth": deep, "tokens": 32}),
    ]


OVERLAP_MATTERS = ("decode", "generate")  # kernels that may begin before the one before has ended


class Asked(Side):
    """A side with a limit to each request, whose last words are kept. Once it has failed it is not asked again."""

    def __init__(self, name, command, variables=None):
        self.name, self.failure, self.answers = name, "", 0
        self.errors = tempfile.TemporaryFile("w+")
        try:
            super().__init__(*command, stderr=self.errors, env={**os.environ, **(variables or {})})
        except OSError as error:
            self.failure = str(error)

    def attempt(self, limit, request):
        """The answer within `limit` seconds, or None."""
        if self.failure:
            return None
        begun, clock = time.monotonic(), threading.Timer(limit, self.process.kill)
        clock.start()
        try:
            answer = self.ask(**request)
            self.answers += 1
            return answer
        except (RuntimeError, OSError, ValueError):
            late, code = time.monotonic() - begun >= limit, self.stop()
            self.errors.seek(0)
            words = " ".join(self.errors.read()[-400:].split())
            what = f"no answer within {limit:.0f} s to" if late else f"exit code {code} at"
            self.failure = f"{what} {request}{': ' + words if words else ''}"
            return None
        finally:
            clock.cancel()

    def stop(self):
        """Its exit code."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def grouped(number):
    return f"{number:,.0f}".replace(",", " ")


class Figures:
    def __init__(self, arguments):
        self.device, self.end = arguments.device, time.monotonic() + arguments.seconds
        self.log = open(arguments.log, "a") if arguments.log else None
        # On the CPU, where this is only rehearsed, all takes long.
        on_gpu = self.device == "cuda"
        self.most_rounds, self.most_asks, self.deep = (5, 5, 4096) if on_gpu else (1, 1, 1024)
        self.work, self.deep_decode = make_work(self.deep), DEEP.format(self.deep)
        engine = (arguments.engine, arguments.model, "1", self.device)
        self.ours, self.apart = Asked(US, engine), Asked(APART, engine, {"GLASSBOX_CUDA_OVERLAP": "off"})
        self.peers = []
        if arguments.peer:
            # The ways in which llama.cpp may be fastest; each piece of work counts the fastest one.
            ways = [("flash attention", "flash", {}), ("no flash attention", "plain", {})]
            if self.device == "cuda":
                ways.append(("flash attention, GGML_CUDA_GRAPH_OPT=1", "flash", {"GGML_CUDA_GRAPH_OPT": "1"}))
            for name, attention, variables in ways:
                command = (arguments.peer, arguments.model, "1", self.device, attention)
                self.peers.append(Asked(name, command, variables))
        self.rates = {}  # (work, side): tokens a second
        self.firsts = {}  # the same, of the first time in the process
        self.hashes = {}  # (work, side): of all answers
        self.rounds = 0
        self.goals = []
        self.failed = False

    def left(self):
        return self.end - time.monotonic()

    def ask(self, side, request):
        """The first answer comes after the model is loaded. On a GPU no later one takes long, but for one that hangs."""
        limit = 60 if self.device == "cpu" or side.answers == 0 else 15
        answer = side.attempt(min(limit, max(self.left(), 1)), request) if self.left() > 0 else None
        if self.log:
            print(side.name, json.dumps(request), json.dumps(answer), file=self.log, flush=True)
        return answer

    # ---- measuring

    def sides_for(self, work):
        sides = [self.ours]
        if work.request["do"].startswith(OVERLAP_MATTERS) and work.name != self.deep_decode:
            sides.append(self.apart)
        return sides if work.ours_alone else sides + self.peers

    def turn(self, work, side, asks, rates):
        for _ in range(asks):
            if work.prepare and not self.ask(side, work.prepare):
                return
            answer = self.ask(side, work.request)
            if not answer:
                return
            rates.setdefault((work.name, side.name), []).append(work.tokens / answer["seconds"])
            if "hash" in answer:
                self.hashes.setdefault((work.name, side.name), set()).add(answer["hash"])

    def warm_up(self):
        """Once for nothing: memory is taken, kernels are loaded, graphs recorded."""
        for work in self.work:
            for side in self.sides_for(work):
                self.turn(work, side, 1, self.firsts)

    def measure(self):
        begun = time.monotonic()
        while self.rounds < self.most_rounds and (
            self.rounds == 0 or self.left() > 1.5 * (time.monotonic() - begun) / self.rounds
        ):
            for work in self.work:
                sides = self.sides_for(work)
                for i in range(len(sides)):
                    self.turn(work, sides[(i + self.rounds) % len(sides)], min(work.asks, self.most_asks), self.rates)
            self.rounds += 1

    def rate(self, work, side):
        return statistics.median(self.rates[work, side.name]) if self.rates.get((work, side.name)) else None

    def peer_rate(self, work):
        """(tok/s, side) of the fastest way."""
        rates = [(rate, side) for side in self.peers if (rate := self.rate(work, side))]
        return max(rates, key=lambda entry: entry[0], default=(None, None))

    def ratio(self, work):
        ours, peer = self.rate(work, self.ours), self.peer_rate(work)[0]
        return ours / peer if ours and peer else None

    # ---- saying

    @staticmethod
    def lack(*sides):
        return "failed" if all(side.failure for side in sides) else "no time"

    def goal(self, name, number, text, met):
        """Returns what stands beside the figure."""
        verdict = "not measured" if number is None else "met" if met(number) else "missed"
        if number is not None and self.device == "cpu":
            verdict = "rehearsed"  # the goals are for a GPU
        self.goals.append((name, "—" if number is None else text, verdict))
        return verdict

    def set_goals(self, maps):
        self.beside = {}

        def beside(work, text):
            self.beside[work] = "; ".join(filter(None, (self.beside.get(work), text)))

        decode, prefill, ratio = self.rate(DECODE, self.ours), self.rate(PREFILL, self.ours), self.ratio(DECODE)
        for least in LEAST_DECODE:
            name = f"one stream decodes at least {grouped(least)} tok/s"
            verdict = self.goal(name, decode, f"{grouped(decode or 0)} tok/s", lambda rate: rate >= least)
            beside(DECODE, f"≥ {grouped(least)}: {verdict}")
        name = f"and at least {LEAST_RATIO} × as many as llama.cpp's CUDA backend in the same run"
        if self.peers:
            verdict = self.goal(name, ratio, f"{ratio or 0:.2f} ×", lambda ratio: ratio >= LEAST_RATIO)
        else:
            verdict = NO_PEER
            self.goals.append((name, "—", verdict))
        beside(DECODE, f"≥ {LEAST_RATIO} × llama.cpp: {verdict}")
        name = f"a prompt of 512 tokens runs at no less than {grouped(LEAST_PREFILL)} tok/s"
        verdict = self.goal(name, prefill, f"{grouped(prefill or 0)} tok/s", lambda rate: rate >= LEAST_PREFILL)
        beside(PREFILL, f"≥ {grouped(LEAST_PREFILL)}: {verdict}")
        name = f"all its attention maps take at most {MOST_MAPS} × the time of writing as many bytes"
        share = maps["captured"] / maps["write"] if maps else None
        self.goal(name, share, f"{share or 0:.2f} ×", lambda share: share <= MOST_MAPS)

    def say_goals(self):
        print(f"| goal (for an H100), on {self.device} | number | |\n|---|---|---|")
        for row in self.goals:
            print("| " + " | ".join(row) + " |")
        counts = {verdict: sum(row[2] == verdict for row in self.goals) for verdict in ("met", "missed")}
        rest = len(self.goals) - sum(counts.values())
        print(f"\nGoals: {counts['met']} met, {counts['missed']} missed, {rest} not measured.\n")

    def say_table(self):
        print(f"| work, {self.device}, tok/s | Glassbox | llama.cpp | ratio | goal |\n|---|---|---|---|---|")
        for work in self.work:
            ours, (peer, way), ratio = self.rate(work.name, self.ours), self.peer_rate(work.name), self.ratio(work.name)
            if peer:
                theirs = f"{grouped(peer)} ({way.name})"
            else:
                theirs = "" if work.ours_alone else self.lack(*self.peers) if self.peers else NO_PEER
            figures = (grouped(ours) if ours else self.lack(self.ours), theirs, f"{ratio:.2f}" if ratio else "")
            print("| " + " | ".join((work.name, *figures, self.beside.get(work.name, ""))) + " |")
        print(f"\nMedians of {self.rounds} rounds in turns; of llama.cpp the fastest of {len(self.peers)} ways.\n")

    def say_sides(self):
        """The median of each, its least and greatest, and what it was the first time in the process."""
        print("| work | side | tok/s | from | to | the first time |\n|---|---|---|---|---|---|")
        for work in self.work:
            for side in self.sides_for(work):
                rates, first = (found.get((work.name, side.name), []) for found in (self.rates, self.firsts))
                if not rates and not first:
                    continue  # what failed is said below
                figures = (statistics.median(rates), min(rates), max(rates)) if rates else ()
                cells = [*map(grouped, (*figures, *first))] if rates else [self.lack(side), "", "", *map(grouped, first)]
                print(f"| {work.name} | {side.name} | " + " | ".join(cells) + " |")
        print()

    def say_bits(self):
        for work in self.work:
            both = [self.hashes.get((work.name, side.name), set()) for side in (self.ours, self.apart)]
            if all(both):
                same = len(both[0] | both[1]) == 1
                self.failed |= not same
                print(f"- {work.name}: with and without overlap the bits are {'the same' if same else 'DIFFERENT'}")
        print()

    def say_maps(self, what, maps):
        if maps:
            milliseconds = "; ".join(f"{1e3 * maps[key]:.2f} ms" for key in ("captured", "write", "plain"))
            print(
                f"{what} of 512 tokens, {maps['bytes'] / 1e6:.0f} MB. With them; "
                f"{'copying as many bytes to the host' if self.device == 'cuda' else 'writing as many bytes'}; "
                f"the prefill without: {milliseconds}.\n"
            )

    def say_bandwidth(self, copied, about):
        """What decoding reads, against a copy within the device's memory, read and written bytes counted."""
        if not copied or not about:
            return
        most = copied["bytes"] / copied["seconds"]
        print(f"A copy within the device's memory moves {most / 1e9:.0f} GB/s.")
        for work, depth in ((DECODE, 8), (self.deep_decode, self.deep)):
            bytes_each = about["weight_bytes"] + depth * about["kv_bytes_per_position"]
            for name, rate in ((US, self.rate(work, self.ours)), ("llama.cpp", self.peer_rate(work)[0])):
                if rate:
                    reads = rate * bytes_each
                    print(
                        f"- {name}, {work}: {bytes_each / 1e6:.0f} MB a token, {reads / 1e9:.0f} GB/s, "
                        f"{100 * reads / most:.1f} % of that"
                    )
        print()

    def run(self):
        about = self.ask(self.ours, {"do": "describe"})
        descriptions = [(side, self.ask(side, {"do": "describe"})) for side in self.peers]
        self.warm_up()
        repeat = 9 if self.device == "cuda" else 1
        maps, summaries = (
            self.ask(self.ours, {"do": "capture", "what": what, "tokens": 512, "repeat": repeat})
            for what in ("patterns", "summaries")
        )
        size = (1024 if self.device == "cuda" else 128) * MIB
        copied = self.ask(self.ours, {"do": "bandwidth", "bytes": size, "repeat": 10})
        self.measure()
        self.set_goals(maps)
        self.say_goals()
        self.say_table()
        self.say_maps("All attention maps", maps)
        self.say_maps("What all heads' thumbnails and scores are made of,", summaries)
        self.say_bandwidth(copied, about)
        self.say_bits()
        self.say_sides()
        if about:
            print(f"Glassbox: {about['kernels']}, {about['model']}")
        for side, description in descriptions:
            if description:
                print(f"llama.cpp, {side.name}: on {description['devices'] or 'the CPU'}; {description['kernels'].strip()}")
                break
        for side in (self.ours, self.apart, *self.peers):
            if side.failure:
                self.failed = True
                print(f"- {side.name} FAILED: {side.failure}")
            else:
                side.stop()
        if self.left() <= 0:
            self.failed = True
            print("- the time was over before all was measured")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--peer", help="peer_llama_cpp_gpu; without it llama.cpp's column says so")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--seconds", type=float, required=True, help="what it may take")
    parser.add_argument("--log", help="a file to which every answer goes")
    return Figures(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())

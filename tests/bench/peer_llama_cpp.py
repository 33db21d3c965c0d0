"""llama.cpp's side of tests/bench/run: the same requests as bench_engine.cpp takes, one JSON a line, answered likewise.

    python peer_llama_cpp.py MODEL THREADS

llama-cpp-python's low-level calls are llama.cpp's own C functions; the interpreter adds microseconds to a call. Settings are
llama.cpp's defaults but for sizes and threads. llama_synchronize stands inside what is timed.
"""

import array
import json
import pathlib
import sys
import time

import llama_cpp

MOST_SEQUENCES = 16
WARM_ROWS, WARM_STEPS = 32, 4
SHORT = 1024  # positions of the context that prefill and the first decodes use


def token_at(sequence, position):
    """The same tokens on both sides (token_at in bench_engine.cpp)."""
    return 1000 + (position * 7919 + sequence * 10007) % 40000


class Line:
    """A llama.cpp context with room for `sequences` lines of `positions` tokens."""

    def __init__(self, model, threads, positions, sequences=1):
        wishes = llama_cpp.llama_context_default_params()
        wishes.n_ctx = positions * sequences
        wishes.n_batch = wishes.n_ubatch = 512
        wishes.n_seq_max = sequences
        wishes.n_threads = wishes.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, wishes)
        if not self.context:
            raise RuntimeError("llama.cpp made no context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.lengths = [0] * sequences
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def call(self, rows):
        """rows: (token, position, sequence, whether the head is wanted). Returns the seconds of llama_decode alone."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = logits
        begun = time.perf_counter()
        if llama_cpp.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - begun

    def run(self, begin, end, sequence=0):
        seconds = 0
        for first in range(begin, end, 512):
            last = min(first + 512, end)
            seconds += self.call([(token_at(sequence, p), p, sequence, p + 1 == end) for p in range(first, last)])
        self.lengths[sequence] = end
        return seconds

    def steps(self, depth, tokens, sequences=1):
        """One token more for each sequence, `tokens` times; the cache is then as it was before."""
        seconds = 0
        for position in range(depth, depth + tokens):
            seconds += self.call([(token_at(s, position), position, s, True) for s in range(sequences)])
        for sequence in range(sequences):
            self.truncate(depth, sequence)
        return seconds

    def truncate(self, length, sequence=0):
        if not llama_cpp.llama_memory_seq_rm(self.memory, sequence, length, -1):
            raise RuntimeError("llama.cpp did not shorten its cache")
        self.lengths[sequence] = length


class Peer:
    def __init__(self, path, threads):
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, None)
        wishes = llama_cpp.llama_model_default_params()
        wishes.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), wishes)
        self.threads = threads
        self.lines = {}

    def line(self, positions, sequences=1):
        key = positions, sequences
        if key not in self.lines:
            self.lines[key] = Line(self.model, self.threads, positions, sequences)
        return self.lines[key]

    def long_line(self, end):
        return self.line(SHORT if end <= SHORT else llama_cpp.llama_model_n_ctx_train(self.model))

    def describe(self):
        return {"kernels": llama_cpp.llama_print_system_info().decode(), "version": llama_cpp.__version__}

    def prefill(self, tokens):
        line = self.line(max(tokens, SHORT))
        line.truncate(0)
        line.run(0, min(tokens, WARM_ROWS))
        line.truncate(0)
        return {"seconds": line.run(0, tokens)}

    def extend(self, to):
        line = self.long_line(llama_cpp.llama_model_n_ctx_train(self.model))
        if line.lengths[0] >= to:
            line.truncate(0)
        return {"seconds": line.run(line.lengths[0], to)}

    def decode(self, depth, tokens):
        line = self.long_line(depth + tokens)
        if line.lengths[0] < depth:
            line.run(line.lengths[0], depth)
        line.truncate(depth)
        line.steps(depth, WARM_STEPS)
        return {"seconds": line.steps(depth, tokens)}

    def batch(self, sequences, depth, tokens):
        line = self.line(256, MOST_SEQUENCES)
        for sequence in range(sequences):
            line.truncate(0, sequence)
            line.run(0, depth, sequence)
        line.steps(depth, WARM_STEPS, sequences)
        return {"seconds": line.steps(depth, tokens, sequences)}

    def tokenise(self, file, repeat, ids=None):
        text = pathlib.Path(file).read_bytes()
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        out = (llama_cpp.llama_token * (len(text) + 8))()
        seconds, count = [], llama_cpp.llama_tokenize(vocab, text, len(text), out, len(out), False, True)
        if ids:
            pathlib.Path(ids).write_bytes(array.array("i", out[:count]).tobytes())
        for _ in range(repeat):
            begun = time.perf_counter()
            count = llama_cpp.llama_tokenize(vocab, text, len(text), out, len(out), False, True)
            seconds.append(time.perf_counter() - begun)
        return {"bytes": len(text), "tokens": count, "seconds": seconds}


def main():
    peer = Peer(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        work = getattr(peer, request.pop("do"))
        print(json.dumps(work(**request)), flush=True)


if __name__ == "__main__":
    main()

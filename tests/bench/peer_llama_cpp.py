"""Times llama.cpp (llama-cpp-python, low-level calls) on the same file: one prefill, one decode. Prints one JSON line.

    python peer_llama_cpp.py MODEL THREADS PREFILL_TOKENS DECODE_TOKENS
"""

import json
import sys
import time

import llama_cpp


def one_batch(tokens, first_position):
    """A batch of one sequence whose last token asks for logits."""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i] = token, first_position + i
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        batch.logits[i] = i + 1 == len(tokens)
    return batch


def main():
    path, threads, prefill, decode = sys.argv[1], *map(int, sys.argv[2:5])
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, None)
    wishes = llama_cpp.llama_model_default_params()
    wishes.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(path.encode(), wishes)
    wishes = llama_cpp.llama_context_default_params()
    wishes.n_ctx = prefill + decode + 8
    wishes.n_batch = wishes.n_ubatch = max(prefill, 8)
    wishes.n_threads = wishes.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, wishes)

    def run(tokens, position):
        batch = one_batch(tokens, position)
        begun = time.perf_counter()
        if llama_cpp.llama_decode(context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        llama_cpp.llama_synchronize(context)
        seconds = time.perf_counter() - begun
        llama_cpp.llama_batch_free(batch)
        return seconds

    run([1000 + i for i in range(8)], 0)  # pages of the file, threads, buffers
    memory = llama_cpp.llama_get_memory(context)
    llama_cpp.llama_memory_clear(memory, True)
    prefill_seconds = run([1000 + i * 7919 % 40000 for i in range(prefill)], 0)
    # Decode from an almost empty cache, as the other side does.
    llama_cpp.llama_memory_clear(memory, True)
    run([1000 + i for i in range(8)], 0)
    decode_seconds = sum(run([1000 + i * 7919 % 40000], 8 + i) for i in range(decode))
    print(json.dumps({"prefill": prefill / prefill_seconds, "decode": decode / decode_seconds}))


if __name__ == "__main__":
    main()

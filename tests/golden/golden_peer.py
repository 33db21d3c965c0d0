"""llama.cpp, by llama-cpp-python, on the ids that the golden values are about: a figure to be measured against."""

import numpy as np
import torch
from golden_io import f64_round, versions

# What llama.cpp is measured with. Its figures move with the settings as much as between machines, so there are three.
PEER_SETTINGS = (
    {"flash_attention": "auto", "cache": "f16"},  # what a user of llama.cpp gets
    {"flash_attention": "off", "cache": "f16"},
    {"flash_attention": "off", "cache": "f32"},
)


def llama_cpp_logits(llama_cpp, path, ids, settings):
    """[T, V] float32: all logits of one batch with all the ids, on two CPU threads."""
    wishes = llama_cpp.llama_model_default_params()
    wishes.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), wishes)
    wishes = llama_cpp.llama_context_default_params()
    wishes.n_ctx = wishes.n_batch = wishes.n_ubatch = len(ids)
    wishes.n_threads = wishes.n_threads_batch = 2
    wishes.flash_attn_type = {"auto": -1, "off": 0}[settings["flash_attention"]]
    wishes.type_k = wishes.type_v = {"f32": 0, "f16": 1}[settings["cache"]]
    context = llama_cpp.llama_init_from_model(model, wishes)
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.logits[i] = token, i, 1
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
    if llama_cpp.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")
    rows = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape=(len(ids), vocab)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return rows


def peer_figures(path, ids, exact):
    """llama.cpp on the same file and ids. exact [T, V]: log-probabilities of the float32 run, float64."""
    try:
        import llama_cpp
    except ImportError:
        print("llama_cpp is not installed: no peer figures", flush=True)
        return []
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, None)
    figures = []
    for settings in PEER_SETTINGS:
        other = torch.log_softmax(torch.from_numpy(llama_cpp_logits(llama_cpp, path, ids, settings)).double(), -1)
        kl = (exact.exp() * (exact - other)).sum(-1)
        same = (exact.argmax(-1) == other.argmax(-1)).double().mean()
        nll = -other[:-1].gather(1, torch.tensor(ids[1:])[:, None]).mean()
        figures.append(
            {
                "program": "llama.cpp by llama-cpp-python " + versions("llama-cpp-python")["llama-cpp-python"],
                **settings,
                "mean_kl_nats": f64_round(kl.mean(), 6),
                "median_kl_nats": f64_round(kl.median(), 6),
                "max_kl_nats": f64_round(kl.max(), 6),
                "same_top1": f64_round(same, 6),
                "perplexity": f64_round(nll.exp(), 8),
            }
        )
        print(figures[-1], flush=True)
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), None)
    return figures

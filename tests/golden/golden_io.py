"""What the golden scripts of this folder share: numbers, files and the taps of a transformers model.

The layouts that are written here are described in README.md beside this file.
"""

import hashlib
import json
import math
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TOKEN_TYPE_CONTROL = 3  # tokenizer.ggml.token_type of special tokens


def quiet_single_thread():
    """One thread and fp32 everywhere, so that a second run on the same machine writes the same bytes."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.backends.mkldnn.enabled = False  # one matrix library fewer whose choice depends on the machine


def f32(x):
    """The shortest decimal that reads back as the same float32, as a Python number for json."""
    return float(str(np.float32(x)))


def f32_list(values):
    return [f32(v) for v in np.asarray(values, dtype=np.float32).ravel()]


def f64_round(x, digits=12):
    """A float64 with so many significant digits: enough for every test, and short in the file."""
    return float(f"{float(x):.{digits}g}")


def splitmix64(seed):
    """Endless 64-bit numbers (Steele, Lea, Flood 2014), so that the choice depends on no library."""
    mask = (1 << 64) - 1
    state = seed & mask
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def distinct_below(limit, count, seed):
    """`count` different numbers below `limit`, ascending."""
    found = set()
    for z in splitmix64(seed):
        found.add(z % limit)
        if len(found) == count:
            return sorted(found)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions(*names):
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def write_json(path, document):
    """JSON with one line for each top-level field and for each element of a top-level list of objects."""

    def short(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            body = "[\n" + ",\n".join("  " + short(v) for v in value) + "\n ]"
        else:
            body = short(value)
        lines.append(f" {json.dumps(key)}: {body}")
    Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


class BinFile:
    """Little-endian float32 arrays one after another, and the entries that say where each one lies."""

    def __init__(self):
        self.parts = []
        self.offset = 0
        self.entries = []

    def add(self, values, **labels):
        data = np.ascontiguousarray(np.asarray(values, dtype="<f4"))
        self.entries.append({**labels, "shape": list(data.shape), "offset": self.offset})
        self.parts.append(data.tobytes())
        self.offset += data.nbytes

    def write(self, path):
        Path(path).write_bytes(b"".join(self.parts))


def byte_level_tokenizer(tokens, merges, token_types, digits_alone):
    """A tokenizer from a GGUF's own lists. The conversion inside transformers is not used: it loses Digits."""
    vocab = {token: i for i, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
        if digits_alone
        else byte_level
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(t, special=True, normalized=False)
            for t, kind in zip(tokens, token_types)
            if kind == TOKEN_TYPE_CONTROL
        ]
    )
    return tokenizer


def logit_statistics(logits, sample, top=20):
    """The summary of one logits vector [V] that the prompt files hold."""
    exact = logits.double().numpy()
    order = np.argsort(-exact, kind="stable")[:top]  # ties: the smaller id first
    peak = exact.max()
    return {
        "top_ids": [int(i) for i in order],
        "top_logits": f32_list(exact[order]),
        "sample_logits": f32_list(exact[sample]),
        "l2": f64_round(math.sqrt(float((exact * exact).sum()))),
        "mean": f64_round(exact.mean()),
        "logsumexp": f64_round(peak + math.log(float(np.exp(exact - peak).sum()))),
    }


def greedy(model, ids, count):
    """`count` times the largest logit, over a KV cache, never stopping at an end token.

    Returns the ids and for each the lead of its logit over the second best: where that is small, another
    order of summation may well choose differently.
    """
    out, leads = [], []
    step, past = torch.tensor([ids]), None
    for _ in range(count):
        result = model(step, past_key_values=past, use_cache=True, logits_to_keep=1)
        past = result.past_key_values
        best = torch.topk(result.logits[0, -1], 2)
        out.append(int(best.indices[0]))
        leads.append(f64_round(best.values[0] - best.values[1], 4))
        step = torch.tensor([[out[-1]]])
    return out, leads


class Hooks:
    """Forward hooks, gone when the block ends."""

    def __init__(self):
        self.handles = []
        self.patches = []

    def output(self, module, see):
        self.handles.append(module.register_forward_hook(lambda m, args, out: see(out)))

    def input(self, module, see):
        """`see` may return a tensor to put in the place of the module's first argument."""

        def hook(m, args, kwargs):
            if args:
                changed = see(args[0])
                return None if changed is None else ((changed, *args[1:]), kwargs)
            changed = see(kwargs["hidden_states"])
            return None if changed is None else (args, {**kwargs, "hidden_states": changed})

        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def replace(self, owner, name, value):
        self.patches.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()
        for owner, name, value in reversed(self.patches):
            setattr(owner, name, value)


# The axes of each tap in the .bin files. The positions always come first, whatever the engine does.
TAP_AXES = {
    "embed": "TC",
    "resid_pre": "TC",
    "attn_norm": "TC",
    "q": "THD",
    "k": "TGD",
    "v": "TGD",
    "q_rot": "THD",
    "k_rot": "TGD",
    "attn_scores": "THS",
    "attn_pattern": "THS",
    "attn_z": "THD",
    "attn_out": "TC",
    "resid_mid": "TC",
    "mlp_norm": "TC",
    "mlp_gate": "TF",
    "mlp_up": "TF",
    "mlp_act": "TF",
    "mlp_out": "TC",
    "resid_post": "TC",
    "final_norm": "TC",
    "logits": "TV",
}


def watch_llama(model, hooks, layers):
    """Fills {(tap, layer): tensor} at the next forward. Layer is -1 for embed, final_norm and logits."""
    from transformers.models.llama import modeling_llama as source

    config, seen = model.config, {}
    heads, groups = config.num_attention_heads, config.num_key_value_heads

    def keep(tap, layer, split=None):
        def see(out):
            x = out[0].detach().clone()
            seen[tap, layer] = x.view(x.shape[0], split, -1) if split else x

        return see

    hooks.output(model.model.embed_tokens, keep("embed", -1))
    for i in layers:
        block = model.model.layers[i]
        hooks.input(block, keep("resid_pre", i))
        hooks.output(block.input_layernorm, keep("attn_norm", i))
        hooks.output(block.self_attn.q_proj, keep("q", i, heads))
        hooks.output(block.self_attn.k_proj, keep("k", i, groups))
        hooks.output(block.self_attn.v_proj, keep("v", i, groups))
        hooks.input(block.self_attn.o_proj, keep("attn_z", i, heads))
        hooks.output(block.self_attn.o_proj, keep("attn_out", i))
        hooks.input(block.post_attention_layernorm, keep("resid_mid", i))
        hooks.output(block.post_attention_layernorm, keep("mlp_norm", i))
        hooks.output(block.mlp.gate_proj, keep("mlp_gate", i))
        hooks.output(block.mlp.up_proj, keep("mlp_up", i))
        hooks.input(block.mlp.down_proj, keep("mlp_act", i))
        hooks.output(block.mlp.down_proj, keep("mlp_out", i))
        hooks.output(block, lambda out, i=i: keep("resid_post", i)(out if torch.is_tensor(out) else out[0]))
    hooks.output(model.model.norm, keep("final_norm", -1))
    hooks.output(model.lm_head, keep("logits", -1))

    eager = source.eager_attention_forward

    def attention(module, query, key, value, mask, scaling, **kwargs):
        i = module.layer_idx
        if i in layers:
            seen["q_rot", i] = query[0].transpose(0, 1).clone()
            seen["k_rot", i] = key[0].transpose(0, 1).clone()
            repeated = source.repeat_kv(key, module.num_key_value_groups)
            scores = torch.matmul(query, repeated.transpose(2, 3)) * scaling
            seen["attn_scores", i] = blank_future(scores[0]).transpose(0, 1)
        out, pattern = eager(module, query, key, value, mask, scaling, **kwargs)
        if i in layers:
            seen["attn_pattern", i] = pattern[0].transpose(0, 1).clone()
        return out, pattern

    hooks.replace(source, "eager_attention_forward", attention)
    return seen


def watch_gpt2(model, hooks, layers):
    """As watch_llama. GPT-2 has no q_rot, k_rot and mlp_gate."""
    from transformers.models.gpt2 import modeling_gpt2 as source

    heads, seen = model.config.n_head, {}

    def keep(tap, layer, split=None):
        def see(out):
            x = out[0].detach().clone()
            seen[tap, layer] = x.view(x.shape[0], split, -1) if split else x

        return see

    hooks.output(model.transformer.wte, keep("embed", -1))
    for i in layers:
        block = model.transformer.h[i]

        def qkv(out, i=i):
            for tap, part in zip("qkv", out[0].chunk(3, dim=-1)):
                seen[tap, i] = part.reshape(part.shape[0], heads, -1).clone()

        hooks.input(block, keep("resid_pre", i))
        hooks.output(block.ln_1, keep("attn_norm", i))
        hooks.output(block.attn.c_attn, qkv)
        hooks.input(block.attn.c_proj, keep("attn_z", i, heads))
        hooks.output(block.attn.c_proj, keep("attn_out", i))
        hooks.input(block.ln_2, keep("resid_mid", i))
        hooks.output(block.ln_2, keep("mlp_norm", i))
        hooks.output(block.mlp.c_fc, keep("mlp_up", i))
        hooks.input(block.mlp.c_proj, keep("mlp_act", i))
        hooks.output(block.mlp.c_proj, keep("mlp_out", i))
        hooks.output(block, lambda out, i=i: keep("resid_post", i)(out if torch.is_tensor(out) else out[0]))
    hooks.output(model.transformer.ln_f, keep("final_norm", -1))
    hooks.output(model.lm_head, keep("logits", -1))

    eager = source.eager_attention_forward

    def attention(module, query, key, value, mask, scaling=None, **kwargs):
        i = module.layer_idx
        if i in layers:
            scores = torch.matmul(query, key.transpose(-1, -2)) * scaling
            seen["attn_scores", i] = blank_future(scores[0]).transpose(0, 1)
        out, pattern = eager(module, query, key, value, mask, scaling=scaling, **kwargs)
        if i in layers:
            seen["attn_pattern", i] = pattern[0].transpose(0, 1).clone()
        return out, pattern

    hooks.replace(source, "eager_attention_forward", attention)
    return seen


def blank_future(scores):
    """[H, T, S] with -infinity where the key lies after the query, as the tap attn_scores is defined."""
    t, s = scores.shape[-2:]
    return scores.masked_fill(torch.ones(t, s, dtype=torch.bool).triu(1), -math.inf)


def add_taps(file, seen, positions, **labels):
    """Appends what was seen, at these positions, in the order of the forward."""
    order = list(TAP_AXES)
    for tap, layer in sorted(seen, key=lambda key: (key[1] < 0 and key[0] != "embed", key[1], order.index(key[0]))):
        values = seen[tap, layer][list(positions)]
        entry = {"tap": tap, **({} if layer < 0 else {"layer": layer})}
        file.add(values.numpy(), **labels, **entry, axes=list(TAP_AXES[tap]), positions=list(positions))

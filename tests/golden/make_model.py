"""Golden values of the default model, made by transformers, for the tests of the C++ engine.

    python make_model.py --model SmolLM2-135M-Instruct.Q4_1.gguf --out tests/golden [--parts prompts,taps,...]

Packages (pip): torch 2.15.0, transformers 5.23.0, accelerate 1.15.0, tokenizers 0.23.3, gguf 0.19.0,
numpy 2.4.6, Jinja2 3.1.6; for the peer figures of the part `logprobs` also llama-cpp-python 0.3.36
(left out where it cannot be imported). The parts are prompts, taps, edits, embeddings and logprobs.

transformers dequantises the GGUF to float32 and runs it with plain ("eager") attention on one CPU thread.
Token ids do not come from its conversion of the tokenizer, which loses the rule that every digit stands
alone, but from `tokenizers` fed with the file's own vocabulary and merges.
README.md beside this file describes what is written.
"""

import argparse
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from golden_io import (
    BinFile,
    Hooks,
    add_taps,
    byte_level_tokenizer,
    distinct_below,
    f32_list,
    f64_round,
    greedy,
    logit_statistics,
    quiet_single_thread,
    sha256_of,
    splitmix64,
    versions,
    watch_llama,
    write_json,
)
from jinja2 import Environment
from transformers import AutoModelForCausalLM

PARTS = ("prompts", "taps", "edits", "embeddings", "logprobs")
PACKAGES = ("torch", "transformers", "tokenizers", "gguf", "numpy")
SAMPLE_SIZE = 512  # logits compared for each prompt
SAMPLE_SIZE_EDITS = 64
GREEDY_TOKENS = 24
GREEDY_LIMIT = 600  # longer prompts get no continuation
SAMPLED_HEADS = ((0, 3), (7, 1), (14, 8), (20, 2), (24, 4), (29, 6))
FULL_ROW = 64  # pattern rows up to this length are stored whole
TAP_LAYERS = (0, 14, 29)
KL_TOKENS = 512

MARY = "When Mary and John went to the shop, John gave the bag to"
CAPITAL = "The capital of France is"
FLIGHT = "We flew from Paris to Berlin on Tuesday with bananas"
BREAKFAST = "Strawberry has 3 r's. Das Frühstück ist um 07:45 — 草莓 🍓 unbelievability"

TEXTS = {
    "one_token": "Hello",
    "mary": MARY,
    "capital": CAPITAL,
    "flight": FLIGHT,
    "breakfast": BREAKFAST,
    "chinese": "春天来了,河边的柳树发芽了。老师问:“谁知道长江有多长?”小明回答:大约6300公里。",
    "scripts": "東京は夜の七時です。서울의 밤은 밝다. Привет, как дела? مرحبا بالعالم नमस्ते ٣٤ Ⅷ ½",
    "emoji": "👩‍👩‍👧‍👦 are going to 🏖️, 👍🏽👍🏿 said the 🇩🇪 team. 🍓🍓🍓 = 3",
    "python": 'def fibonacci(n: int) -> int:\n    """Return the n-th number."""\n    a, b = 0, 1\n'
    "    for _ in range(n):\n        a, b = b, a + b\n    return",
    "cpp": "#include <vector>\n\ntemplate <typename T>\nT sum(const std::vector<T>& values) {\n"
    "\tT total{};\n\tfor (const T& v : values) {\n\t\ttotal += v;\n\t}\n\treturn",
    "json": '{"name": "Ada", "born": 1815, "langs": ["en", "fr"], "ok": true, "ratio": -1.5e-3, "next":',
    "formula": r"Let $f(x) = \frac{1}{\sqrt{2\pi}} e^{-x^2/2}$. Then $\int_{-\infty}^{\infty} f(x)\,dx =$",
    "numbers": "In 2024 we sold 1,234,567 units at 3.14159 each; call 0049 30 1234567 before 07:45:",
    "spaces": "  two  spaces,\ttab\t\ttabs,\n\n   three lines\r\nand   an end   ",
    "apostrophes": "I'll say they've won't, we'd 'S wouldn't've; rock'n'roll — it's O'Brien’s",
    "accents": "Cafe\u0301 or café? Ångström, naïve, Zürich, İstanbul, ﬁne, coöperate, ẞ and ß:",
    "capitals": "WHY DOES EVERYBODY SHOUT? BECAUSE ANTIDISESTABLISHMENTARIANISM",
    "poem": "the lamp is low, the kettle sings,\nthe cat has dreams of feathered",
    "repeated_word": " the" * 64,
    "special_only": "<|im_start|><|im_end|><|endoftext|>",
    "special_inside": "One<|endoftext|>Two <|im_end|>\n<file_sep>three",
}
CHATS = {
    "chat": [{"role": "user", "content": "What is the tallest mountain on Earth?"}],
    "chat_turns": [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "Name a fruit that is yellow."},
        {"role": "assistant", "content": "A banana is yellow."},
        {"role": "user", "content": "And one that is red?"},
    ],
}
# name: (file, tokens). Lengths on both sides of likely block sizes, then the two that the project asks for.
SLICES = {
    "story_64": ("kl_text.txt", 64),
    "story_65": ("kl_text.txt", 65),
    "story_257": ("kl_text.txt", 257),
    "licence_512": ("../../LICENSE", 512),
    "licence_2100": ("../../LICENSE", 2100),
}


class Golden:
    def __init__(self, path, here):
        self.path, self.here = Path(path), here
        fields = gguf.GGUFReader(path).fields
        get = lambda name: fields[f"tokenizer.{name}"].contents()
        self.tokenizer = byte_level_tokenizer(
            get("ggml.tokens"), get("ggml.merges"), get("ggml.token_type"), digits_alone=True
        )
        self.template = get("chat_template")
        self.vocab = len(get("ggml.tokens"))
        self.model = AutoModelForCausalLM.from_pretrained(
            str(self.path.parent), gguf_file=self.path.name, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.sample = distinct_below(self.vocab, SAMPLE_SIZE, seed=1)
        self.header = {
            "format": 1,
            "made_by": "tests/golden/make_model.py",
            "versions": versions(*PACKAGES),
            "model": {
                "file": self.path.name,
                "bytes": self.path.stat().st_size,
                "sha256": sha256_of(self.path),
            },
        }

    def encode(self, text):
        return self.tokenizer.encode(text).ids

    def single(self, text):
        ids = self.encode(text)
        assert len(ids) == 1, text
        return ids[0]

    def last_logits(self, ids):
        return self.model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]

    def prompts(self):
        """(name, text or None, ids), each text encoding to exactly these ids."""
        for name, text in TEXTS.items():
            yield name, text, self.encode(text)
        template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(self.template)
        for name, messages in CHATS.items():
            text = template.render(messages=messages, add_generation_prompt=True)
            yield name, text, self.encode(text)
        for name, (file, count) in SLICES.items():
            text = (self.here / file).read_text(encoding="utf-8")
            text = self.tokenizer.decode(self.encode(text)[:count], skip_special_tokens=False)
            ids = self.encode(text)
            assert len(ids) == count, f"{name}: cut in the middle of a piece"
            yield name, text, ids
        numbers = splitmix64(seed=2)
        once = [100 + next(numbers) % (self.vocab - 100) for _ in range(48)]
        yield "repeated_random", None, once + once


def write_prompts(golden, out):
    model, entries = golden.model, []
    for name, text, ids in golden.prompts():
        t = len(ids)
        positions = sorted({0, t - 1, *distinct_below(t, min(t, 7), seed=3 + t)}) if t > 9 else list(range(t))
        keys = list(range(t)) if t <= FULL_ROW else sorted({0, 1, t - 2, t - 1, *distinct_below(t, 44, seed=4)})
        norms, rows = [], []
        with Hooks() as hooks:

            def norm(x):
                norms.append([f64_round(v, 9) for v in x[0, positions].double().norm(dim=-1)])

            hooks.input(model.model.layers[0], norm)
            for block in model.model.layers:
                hooks.output(block, lambda y: norm(y if torch.is_tensor(y) else y[0]))
            for layer, head in SAMPLED_HEADS:

                def row(y, layer=layer, head=head):
                    rows.append({"layer": layer, "head": head, "weights": f32_list(y[1][0, head, -1][keys])})

                hooks.output(model.model.layers[layer].self_attn, row)
            logits = golden.last_logits(ids)
        entry = {
            "name": name,
            "text": text,
            "messages": CHATS.get(name),
            "ids": ids,
            "logits": logit_statistics(logits, golden.sample),
            "resid": {"positions": positions, "l2": norms},
            "pattern_rows": {"query": t - 1, "keys": keys, "rows": rows},
            "greedy": None,
        }
        if t <= GREEDY_LIMIT:
            more, leads = greedy(model, ids, GREEDY_TOKENS)
            entry["greedy"] = {"ids": more, "leads": leads}
        entries.append(entry)
        print(f"{name}: {t} tokens", flush=True)
    write_json(
        out / "model_prompts.json",
        {**golden.header, "sample_indices": golden.sample, "prompts": entries},
    )


def perturb_norms(model):
    """weight[i] *= 1 + 0.1 sin(i + 7 layer + 3 kind), in float64 and rounded once. Returns the way back."""
    norms = [(block.input_layernorm, i, 0) for i, block in enumerate(model.model.layers)]
    norms += [(block.post_attention_layernorm, i, 1) for i, block in enumerate(model.model.layers)]
    norms.append((model.model.norm, 0, 2))
    before = [(norm, norm.weight.clone()) for norm, _, _ in norms]
    for norm, layer, kind in norms:
        w = norm.weight.numpy().astype(np.float64)
        i = np.arange(w.size, dtype=np.float64)
        norm.weight.copy_(torch.from_numpy((w * (1 + 0.1 * np.sin(i + 7 * layer + 3 * kind))).astype(np.float32)))

    def restore():
        for norm, weight in before:
            norm.weight.copy_(weight)

    return restore


def write_taps(golden, out):
    model, file = golden.model, BinFile()
    runs, heads = [], []

    def run(name, weights, text, positions, with_logits):
        ids = golden.encode(text)
        positions = [p % len(ids) for p in positions(len(ids))]
        with Hooks() as hooks:
            seen = watch_llama(model, hooks, TAP_LAYERS)
            logits = model(torch.tensor([ids])).logits[0, -1]
        all_logits = seen.pop(("logits", -1))
        add_taps(file, seen, positions, run=name)
        if with_logits:  # all of V: only once, and only for the last position
            add_taps(file, {("logits", -1): all_logits}, [len(ids) - 1], run=name)
        for layer in TAP_LAYERS:
            w = model.model.layers[layer].self_attn.o_proj.weight.double()
            z = seen["attn_z", layer][positions].double()  # [P, H, D]
            each = torch.einsum("phd,chd->phc", z, w.view(w.shape[0], z.shape[1], -1))
            heads.append(
                {
                    "run": name,
                    "layer": layer,
                    "positions": positions,
                    "l2": [[f64_round(v, 9) for v in row] for row in each.norm(dim=-1)],
                }
            )
        runs.append(
            {
                "run": name,
                "weights": weights,
                "text": text,
                "ids": ids,
                "logits": logit_statistics(logits, golden.sample),
            }
        )
        print(f"taps of {name}: {len(ids)} tokens", flush=True)

    three = lambda t: (0, t // 2, t - 1)
    run("capital", "file", CAPITAL, three, False)
    run("mary", "file", MARY, three, True)
    run("breakfast", "file", BREAKFAST, lambda t: (t // 2, t - 1), False)
    restore = perturb_norms(model)
    run("mary_perturbed", "perturbed", MARY, lambda t: (t - 1,), False)
    restore()
    file.write(out / "model_taps.bin")
    write_json(
        out / "model_taps.json",
        {
            **golden.header,
            "bin": "model_taps.bin",
            "perturbation": "norm weight[i] *= 1 + 0.1*sin(i + 7*layer + 3*kind) in float64, then cast to float32; "
            "kind 0 attn_norm, 1 ffn_norm, 2 output_norm (layer 0)",
            "sample_indices": golden.sample,
            "runs": runs,
            "head_out_l2": heads,
            "taps": file.entries,
        },
    )


class Edited:
    """Applies a list of edits, as README.md describes them, to the forwards inside the block."""

    def __init__(self, golden, edits):
        self.golden, self.edits, self.hooks = golden, edits, Hooks()

    def __enter__(self):
        for edit in self.edits:
            if edit["kind"].startswith("cut_"):
                self.cut(edit)
            else:
                self.change(edit)
        return self

    def __exit__(self, *_):
        self.hooks.__exit__()

    def change(self, edit):
        block, dim = self.golden.model.model.layers[edit["layer"]], self.golden.model.config.head_dim
        patch = None
        if edit["kind"] == "patch":
            ids = self.golden.encode(edit["from_text"])
            with Hooks() as hooks:
                seen = watch_llama(self.golden.model, hooks, (edit["layer"],))
                self.golden.last_logits(ids)
            patch = seen[edit["tap"], edit["layer"]].flatten(1)

        def apply(x):
            x = x.clone()
            rows = list(range(x.shape[1])) if edit["positions"] == "all" else edit["positions"]
            part = slice(None) if "head" not in edit else slice(edit["head"] * dim, (edit["head"] + 1) * dim)
            i = torch.arange(x.shape[-1], dtype=torch.float64)
            for p in rows:
                if edit["kind"] == "zero":
                    x[0, p, part] = 0
                elif edit["kind"] == "scale":
                    x[0, p, part] *= edit["factor"]
                elif edit["kind"] == "add":
                    x[0, p] += (edit["amplitude"] * torch.sin(i)).float()
                elif edit["kind"] == "overwrite":
                    x[0, p] = (edit["amplitude"] * torch.cos(i)).float()
                elif edit["kind"] == "patch":
                    x[0, p, part] = patch[p, part]
                else:
                    raise ValueError(edit["kind"])
            return x

        if edit["tap"] == "resid_pre":
            self.hooks.input(block, apply)
        elif edit["tap"] == "attn_z":
            self.hooks.input(block.self_attn.o_proj, apply)
        elif edit["tap"] == "mlp_act":
            self.hooks.input(block.mlp.down_proj, apply)
        elif edit["tap"] == "mlp_out":
            self.hooks.output(block.mlp, apply)
        else:
            raise ValueError(edit["tap"])

    def cut(self, edit):
        from transformers.models.llama import modeling_llama as source

        eager = source.eager_attention_forward
        where = (0, edit["head"], edit["query"], edit["key"])

        def attention(module, query, key, value, mask, scaling, **kwargs):
            if module.layer_idx != edit["layer"]:
                return eager(module, query, key, value, mask, scaling, **kwargs)
            if edit["kind"] == "cut_score":
                mask = mask.expand(-1, query.shape[1], -1, -1).clone()
                mask[where] = -math.inf
                return eager(module, query, key, value, mask, scaling, **kwargs)
            _, pattern = eager(module, query, key, value, mask, scaling, **kwargs)
            pattern[where] = 0
            z = pattern @ source.repeat_kv(value, module.num_key_value_groups)
            return z.transpose(1, 2).contiguous(), pattern

        self.hooks.replace(source, "eager_attention_forward", attention)


def edit_cases(last):
    """(name, edits) on the prompt MARY, whose last position is `last` and whose position 1 is " Mary"."""
    head = lambda kind, layer, h, positions="all", **more: {
        "kind": kind, "tap": "attn_z", "layer": layer, "head": h, "positions": positions, **more
    }  # fmt: skip
    whole = lambda kind, tap, layer, positions="all", **more: {
        "kind": kind, "tap": tap, "layer": layer, "positions": positions, **more
    }  # fmt: skip
    edge = {"layer": 24, "head": 4, "query": last, "key": 1}
    swapped = "When John and Mary went to the shop, Mary gave the bag to"
    return [
        ("base", []),
        ("L24H4_off", [head("zero", 24, 4)]),
        ("L24H4_off_last", [head("zero", 24, 4, [last])]),
        ("L23H0_off", [head("zero", 23, 0)]),
        ("L23H1_off", [head("zero", 23, 1)]),
        ("L23H7_off", [head("zero", 23, 7)]),
        ("L23H0_H1_H7_off", [head("zero", 23, h) for h in (0, 1, 7)]),
        ("L24H4_half", [head("scale", 24, 4, factor=0.5)]),
        ("L24H4_double_last", [head("scale", 24, 4, [last], factor=2.0)]),
        ("L24H4_edge_score", [{"kind": "cut_score", **edge}]),
        ("L24H4_edge_weight", [{"kind": "cut_weight", **edge}]),
        ("add_resid_pre_10", [whole("add", "resid_pre", 10, amplitude=0.01)]),
        ("add_resid_pre_10_strong", [whole("add", "resid_pre", 10, amplitude=1.0)]),
        ("zero_mlp_out_12", [whole("zero", "mlp_out", 12)]),
        ("scale_mlp_act_20", [whole("scale", "mlp_act", 20, [1, last], factor=-1.0)]),
        ("overwrite_mlp_out_5", [whole("overwrite", "mlp_out", 5, [3], amplitude=0.5)]),
        ("patch_resid_pre_20", [whole("patch", "resid_pre", 20, [last], from_text=swapped)]),
        ("patch_L23H0", [head("patch", 23, 0, [last], from_text=swapped)]),
        ("two_layers", [head("zero", 24, 4), whole("add", "resid_pre", 10, amplitude=1.0)]),
    ]


def write_edits(golden, out):
    ids, target = golden.encode(MARY), golden.single(" Mary")
    assert ids[1] == target
    entries, base = [], None
    for name, edits in edit_cases(len(ids) - 1):
        with Edited(golden, edits):
            logits = golden.last_logits(ids)
        logp = torch.log_softmax(logits.double(), -1)
        base = logp if base is None else base
        entries.append(
            {
                "name": name,
                "edits": edits,
                "p_target": f64_round(logp[target].exp(), 9),
                "entropy_bits": f64_round(-(logp.exp() * logp).sum() / math.log(2), 9),
                "kl_base_to_edited_nats": f64_round((base.exp() * (base - logp)).sum(), 9),
                "logits": logit_statistics(logits, golden.sample[:SAMPLE_SIZE_EDITS]),
            }
        )
        print(f"{name}: P( Mary) = {entries[-1]['p_target']:.4f}", flush=True)
    write_json(
        out / "model_edits.json",
        {
            **golden.header,
            "text": MARY,
            "ids": ids,
            "target": {"text": " Mary", "id": target},
            "sample_indices": golden.sample[:SAMPLE_SIZE_EDITS],
            "cases": entries,
        },
    )


def cosine_matrix(x):
    x = x.double()
    x = x / x.norm(dim=-1, keepdim=True)
    return [f64_round(v) for v in (x @ x.T).flatten()]


def write_embeddings(golden, out):
    rows = golden.model.model.embed_tokens.weight.double()  # [V, C]
    lengths, entries = rows.norm(dim=-1), []
    for text in (" Paris", " Mary", "3"):
        token = golden.single(text)
        row, dots = rows[token], rows @ rows[token]
        measures = {
            "cosine": dots / (lengths * row.norm()),
            "dot": dots,
            "euclid": -(rows - row).norm(dim=-1),  # the nearest first
        }
        entry = {"text": text, "id": token, "l2": f64_round(row.norm()), "first_values": f32_list(row[:8])}
        for name, values in measures.items():
            order = [i for i in np.argsort(-values.numpy(), kind="stable")[:11].tolist() if i != token][:10]
            sign = -1 if name == "euclid" else 1
            entry[name] = {"ids": order, "values": [f64_round(sign * values[i]) for i in order]}
        entries.append(entry)
    ids = golden.encode(FLIGHT)
    with Hooks() as hooks:
        seen = watch_llama(golden.model, hooks, (0, 15))
        golden.last_logits(ids)
    matrices = [
        {"tap": "resid_pre", "layer": layer, "values": cosine_matrix(seen["resid_pre", layer])} for layer in (0, 15)
    ]
    write_json(
        out / "model_embeddings.json",
        {
            **golden.header,
            "neighbors": entries,
            "cosine_text": FLIGHT,
            "cosine_ids": ids,
            "cosine_matrices": matrices,
        },
    )


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


def write_logprobs(golden, out):
    texts = []
    for name in ("kl_text.txt", "../../LICENSE"):
        text = (golden.here / name).read_text(encoding="utf-8")
        ids = golden.encode(text)[:KL_TOKENS]
        assert len(ids) == KL_TOKENS
        logits = golden.model(torch.tensor([ids])).logits[0]
        exact = torch.log_softmax(logits.double(), -1)
        best = torch.topk(logits, 2, dim=-1)
        logprobs = exact[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        entry = {
            "file": name,
            "ids": ids,
            "logprobs": [f64_round(v, 9) for v in logprobs],
            "perplexity": f64_round((-logprobs.mean()).exp()),
            "top1_ids": best.indices[:, 0].tolist(),
            "top1_leads": [f64_round(v, 4) for v in best.values[:, 0] - best.values[:, 1]],
            "peer": peer_figures(golden.path, ids, exact),
        }
        texts.append(entry)
        print(f"{name}: perplexity {entry['perplexity']:.4f}", flush=True)
    write_json(out / "model_logprobs.json", {**golden.header, "texts": texts})


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--model", required=True, type=Path, help="the default model, a GGUF file")
    arguments.add_argument("--out", required=True, type=Path, help="folder to write to")
    arguments.add_argument("--parts", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    given = arguments.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        arguments.error(f"unknown parts {sorted(unknown)}; there are {', '.join(PARTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    quiet_single_thread()
    golden = Golden(given.model, Path(__file__).resolve().parent)
    writers = {
        "prompts": write_prompts,
        "taps": write_taps,
        "edits": write_edits,
        "embeddings": write_embeddings,
        "logprobs": write_logprobs,
    }
    for part in PARTS:
        if part in parts:
            writers[part](golden, given.out)


if __name__ == "__main__":
    main()

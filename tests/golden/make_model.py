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
from golden_edits import Edited, edit_cases
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
from golden_peer import peer_figures
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

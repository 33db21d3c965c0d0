"""Tiny random models as GGUF files, and their golden values by transformers, for fast tests of the C++ engine.

    python make_tiny_gpt2.py --out tests/golden

Packages (pip): torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3, gguf 0.19.0, numpy 2.4.6.

Writes tiny_gpt2/ (a GPT-2 in float32 with its own output matrix; the same in a mixture of F32, F16 and Q8_0
with the output tied to the embedding) and tiny_llama/ (a Llama in float32 with grouped heads). Names, layouts
and metadata are llama.cpp's, so that its programs load these files too. Golden values always belong to the
weights as they lie in the file, after quantisation. README.md beside this file describes what is written.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from golden_io import (
    BinFile,
    Hooks,
    add_taps,
    byte_level_tokenizer,
    greedy,
    quiet_single_thread,
    sha256_of,
    versions,
    watch_gpt2,
    watch_llama,
    write_json,
)
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

CONTEXT = 64
VOCAB = 300
SPECIAL = ["<|endoftext|>", "<|turn|>"]  # ids 0 and 1
GREEDY_TOKENS = 24
CORPUS = (
    "The glass box is open, and the light inside the box shows the small wheels that turn when the words go in. "
    "There is nothing hidden in the box: there are numbers, and the numbers are added and multiplied, "
    "and when they are added the next word comes out of the box."
)
PROMPTS = {
    "words": "The box is open",
    "numbers": "12 + 34 = 46, isn't it?",
    "unicode": "草莓 🍓 né",
    "special": "<|endoftext|>the<|turn|> light\n",
}
TAPPED = "words"  # the prompt whose taps are stored


def train_tokenizer():
    """The 256 bytes and as many merges as fit, in llama.cpp's three lists."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        [CORPUS],
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            special_tokens=SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=vocab.get)
    assert len(tokens) == VOCAB

    merges = [" ".join(m) if isinstance(m, list) else m for m in json.loads(tokenizer.to_str())["model"]["merges"]]
    types = [gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t in tokens]
    return tokens, merges, [int(t) for t in types]


def gguf_vocabulary(writer, pre, vocabulary):
    tokens, merges, types = vocabulary
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types(types)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def save(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Weights:
    """Random numbers of one generator, in the order in which they are asked for."""

    def __init__(self, seed):
        self.generator = np.random.Generator(np.random.PCG64(seed))

    def normal(self, *shape, std, mean=0.0):
        return (mean + std * self.generator.standard_normal(shape)).astype(np.float32)


def stored(array, kind):
    """(bytes for the file, the float32 values that a reader gets back)."""
    if kind == gguf.GGMLQuantizationType.F32:
        return array, array
    packed = gguf.quants.quantize(array, kind)
    return packed, gguf.quants.dequantize(packed, kind)


# ---- GPT-2: learned positions, LayerNorm, biases everywhere, tanh GELU. L 3, C 32, H 4, D 8, F 128.


def gpt2_tensors():
    """GGUF name -> float32 array, matrices as [out, in]."""
    c, f, w = 32, 128, Weights(seed=20)
    tensors = {
        "token_embd.weight": w.normal(VOCAB, c, std=0.5),
        "position_embd.weight": w.normal(CONTEXT, c, std=0.3),
    }
    for i in range(3):
        layer = {
            "attn_norm.weight": w.normal(c, std=0.3, mean=1.0),
            "attn_norm.bias": w.normal(c, std=0.2),
            "attn_qkv.weight": w.normal(3 * c, c, std=0.25),
            "attn_qkv.bias": w.normal(3 * c, std=0.2),
            "attn_output.weight": w.normal(c, c, std=0.2),
            "attn_output.bias": w.normal(c, std=0.1),
            "ffn_norm.weight": w.normal(c, std=0.3, mean=1.0),
            "ffn_norm.bias": w.normal(c, std=0.2),
            "ffn_up.weight": w.normal(f, c, std=0.25),
            "ffn_up.bias": w.normal(f, std=0.2),
            "ffn_down.weight": w.normal(c, f, std=0.12),
            "ffn_down.bias": w.normal(c, std=0.1),
        }
        tensors.update({f"blk.{i}.{name}": value for name, value in layer.items()})
    tensors["output_norm.weight"] = w.normal(c, std=0.3, mean=1.0)
    tensors["output_norm.bias"] = w.normal(c, std=0.2)
    tensors["output.weight"] = w.normal(VOCAB, c, std=0.4)
    return tensors


def gpt2_mixed_kind(name):
    """F16 and Q8_0 matrices; vectors and positions stay F32, as llama.cpp's quantiser leaves them."""
    kinds = gguf.GGMLQuantizationType
    if name.endswith(("attn_qkv.weight", "ffn_down.weight")):
        return kinds.Q8_0
    if name.endswith(("attn_output.weight", "ffn_up.weight")):
        return kinds.F16
    return kinds.Q8_0 if name == "token_embd.weight" else kinds.F32


def write_gpt2(path, vocabulary, mixed):
    """Writes the GGUF and returns a GPT2LMHeadModel with the weights that a reader gets back."""
    epsilon = 1e-5
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_name("Glassbox tiny random GPT-2" + (" (mixed)" if mixed else ""))
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(128)
    writer.add_block_count(3)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(epsilon)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if mixed else gguf.LlamaFileType.ALL_F32)
    gguf_vocabulary(writer, "gpt-2", vocabulary)
    back = {}
    for name, array in gpt2_tensors().items():
        if mixed and name == "output.weight":
            continue
        kind = gpt2_mixed_kind(name) if mixed else gguf.GGMLQuantizationType.F32
        data, back[name] = stored(array, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    save(writer)

    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB,
            n_positions=CONTEXT,
            n_embd=32,
            n_layer=3,
            n_head=4,
            activation_function="gelu_new",
            layer_norm_epsilon=epsilon,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=mixed,
            bos_token_id=0,
            eos_token_id=0,
            attn_implementation="eager",
        )
    ).eval()
    names = {
        "token_embd": "transformer.wte",
        "position_embd": "transformer.wpe",
        "output_norm": "transformer.ln_f",
        "output": "lm_head",
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
    }
    state = {}
    for name, array in back.items():
        *prefix, stem, kind = name.split(".")
        matrix = kind == "weight" and stem in ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
        block = f"transformer.h.{prefix[1]}." if prefix else ""
        state[f"{block}{names[stem]}.{kind}"] = torch.from_numpy(array.T.copy() if matrix else array)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if mixed else set()), (missing, unexpected)
    assert (model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()) == mixed
    return model


# ---- Llama: RMSNorm, rotary positions, grouped heads, SwiGLU. L 2, C 64, H 4, G 2, D 16, F 96.

LLAMA = {"layers": 2, "width": 64, "heads": 4, "groups": 2, "dim": 16, "feed": 96, "base": 10000.0, "epsilon": 1e-5}


def rotary_order(matrix, heads):
    """Rows in the order in which llama.cpp's converter stores q and k.

    Hugging Face turns dimension i of a head together with i + D/2; in the file such a pair lies side by side:
    row 2i is its row i, and row 2i + 1 its row i + D/2.
    """
    out, width = matrix.shape
    return matrix.reshape(heads, 2, out // heads // 2, width).transpose(0, 2, 1, 3).reshape(out, width)


def write_llama(path, vocabulary):
    """Writes the GGUF and returns a LlamaForCausalLM with the same weights."""
    a, w = LLAMA, Weights(seed=30)
    c, f, q, kv = a["width"], a["feed"], a["heads"] * a["dim"], a["groups"] * a["dim"]
    state = {"model.embed_tokens.weight": w.normal(VOCAB, c, std=0.5)}
    tensors = {"token_embd.weight": state["model.embed_tokens.weight"]}
    parts = [
        ("attn_norm", "input_layernorm", (c,), 0.3),
        ("attn_q", "self_attn.q_proj", (q, c), 0.2),
        ("attn_k", "self_attn.k_proj", (kv, c), 0.2),
        ("attn_v", "self_attn.v_proj", (kv, c), 0.2),
        ("attn_output", "self_attn.o_proj", (c, q), 0.15),
        ("ffn_norm", "post_attention_layernorm", (c,), 0.3),
        ("ffn_gate", "mlp.gate_proj", (f, c), 0.2),
        ("ffn_up", "mlp.up_proj", (f, c), 0.2),
        ("ffn_down", "mlp.down_proj", (c, f), 0.12),
    ]
    for i in range(a["layers"]):
        for name, other, shape, std in parts:
            array = w.normal(*shape, std=std, mean=1.0 if len(shape) == 1 else 0.0)
            state[f"model.layers.{i}.{other}.weight"] = array
            if name in ("attn_q", "attn_k"):
                array = np.ascontiguousarray(rotary_order(array, shape[0] // a["dim"]))
            tensors[f"blk.{i}.{name}.weight"] = array
    state["model.norm.weight"] = tensors["output_norm.weight"] = w.normal(c, std=0.3, mean=1.0)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Glassbox tiny random Llama")
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(c)
    writer.add_feed_forward_length(f)
    writer.add_block_count(a["layers"])
    writer.add_head_count(a["heads"])
    writer.add_head_count_kv(a["groups"])
    writer.add_layer_norm_rms_eps(a["epsilon"])
    writer.add_rope_dimension_count(a["dim"])
    writer.add_rope_freq_base(a["base"])
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    gguf_vocabulary(writer, "smollm", vocabulary)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    save(writer)

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=c,
            intermediate_size=f,
            num_hidden_layers=a["layers"],
            num_attention_heads=a["heads"],
            num_key_value_heads=a["groups"],
            head_dim=a["dim"],
            max_position_embeddings=CONTEXT,
            rms_norm_eps=a["epsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": a["base"]},
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=None,
            attn_implementation="eager",
        )
    ).eval()
    missing, unexpected = model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    return model


def write_goldens(folder, stem, model, vocabulary, digits_alone, watch, with_taps):
    tokenizer = byte_level_tokenizer(*vocabulary, digits_alone)
    file, prompts = BinFile(), []
    for name, text in PROMPTS.items():
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        with Hooks() as hooks:
            layers = range(model.config.num_hidden_layers) if with_taps and name == TAPPED else ()
            seen = watch(model, hooks, layers)
            model(torch.tensor([ids]))
        if not layers:
            seen = {("logits", -1): seen["logits", -1]}
        add_taps(file, seen, range(len(ids)), run=name)
        more, leads = greedy(model, ids, GREEDY_TOKENS)
        prompts.append({"run": name, "text": text, "ids": ids, "greedy": {"ids": more, "leads": leads}})
        print(f"{stem} {name}: {len(ids)} tokens, least lead {min(leads)}", flush=True)
    gguf_path = folder / f"{stem}.gguf"
    file.write(folder / f"{stem}.bin")
    write_json(
        folder / f"{stem}.json",
        {
            "format": 1,
            "made_by": "tests/golden/make_tiny_gpt2.py",
            "versions": versions("torch", "transformers", "tokenizers", "gguf", "numpy"),
            "model": {
                "file": gguf_path.name,
                "bytes": gguf_path.stat().st_size,
                "sha256": sha256_of(gguf_path),
            },
            "bin": f"{stem}.bin",
            "runs": prompts,
            "taps": file.entries,
        },
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--out", required=True, type=Path, help="folder to write tiny_gpt2/ and tiny_llama/ to")
    given = arguments.parse_args()
    quiet_single_thread()
    gpt2, llama = given.out / "tiny_gpt2", given.out / "tiny_llama"
    for folder in (gpt2, llama):
        folder.mkdir(parents=True, exist_ok=True)
    vocabulary = train_tokenizer()

    model = write_gpt2(gpt2 / "f32.gguf", vocabulary, mixed=False)
    write_goldens(gpt2, "f32", model, vocabulary, False, watch_gpt2, with_taps=True)
    model = write_gpt2(gpt2 / "mixed.gguf", vocabulary, mixed=True)
    write_goldens(gpt2, "mixed", model, vocabulary, False, watch_gpt2, with_taps=False)
    model = write_llama(llama / "f32.gguf", vocabulary)
    write_goldens(llama, "f32", model, vocabulary, True, watch_llama, with_taps=True)


if __name__ == "__main__":
    main()

"""Writes what PyPI's `tokenizers` makes of hard strings: tests/golden/tokens.json, pieces.json and chats.json.

    python tests/golden/make_tokens.py MODEL.gguf

The tokenizer is built from the GGUF's own vocabulary and merges, with the pre-tokenizers that the model was trained with:
every Unicode number alone, then GPT-2's byte-level pattern. (Reading the file with transformers would lose the first.)
Needs tokenizers, gguf and jinja2. `tokenizers` was 0.23.3.

tokens.json  ids of each string; `chars`: per token the first and the end character that it touches, flattened;
             `literal`: ids with special tokens taken as text, where they differ
pieces.json  the bytes of each piece under the four pre-tokenizers
chats.json   messages, the text that the file's template gives, and its ids
"""

import json
import sys
from pathlib import Path

from gguf import GGUFReader
from hard_strings import hard_strings
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

HERE = Path(__file__).parent
CONTROL = 3

# The patterns of Llama 3's and Qwen 2's tokenizer.json.
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST


def smollm():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2()])


def gpt2():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def make_tokenizer(reader):
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = smollm()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == CONTROL])
    return tokenizer


def byte_lengths(text, pre):
    return [len(text[a:b].encode()) for _, (a, b) in pre.pre_tokenize_str(text)]


CHATS = [
    [("user", "Hello")],
    [("user", "")],
    [("user", " leading and trailing ")],
    [("user", "\n\nbreaks\n\n")],
    [("system", "Be brief."), ("user", "What is 2+2?")],
    [("system", ""), ("user", "x")],
    [("user", "What's 12 × 34?"), ("assistant", "It's 408."), ("user", "Thanks 😀")],
    [("assistant", "I begin")],
    [("user", "你好，世界"), ("assistant", "你好！"), ("user", "1\n2\n3")],
    [("user", "def f(x):\n    return x\n")],
    [("user", "a"), ("system", "in the middle"), ("user", "b")],
    [("tool", "{\"result\": 5}")],
    [("user", "\r\n\t x")],
    [("user", "'s 't"), ("assistant", "'ll")],
]


def dump(name, value):
    lines = [json.dumps(v, ensure_ascii=True, separators=(",", ":")) for v in value]
    (HERE / name).write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    reader = GGUFReader(sys.argv[1])
    tokenizer = make_tokenizer(reader)
    texts = hard_strings()

    tokens = []
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        entry = {"text": text, "ids": encoding.ids, "chars": [c for pair in encoding.offsets for c in pair]}
        tokenizer.encode_special_tokens = True
        literal = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        if literal != encoding.ids:
            entry["literal"] = literal
        tokens.append(entry)
    dump("tokens.json", tokens)

    kinds = {"gpt-2": gpt2(), "smollm": smollm(), "llama-bpe": split(LLAMA3), "qwen2": split(QWEN2)}
    dump("pieces.json", [{"text": text, **{k: byte_lengths(text, pre) for k, pre in kinds.items()}} for text in texts])

    # The environment in which transformers renders chat templates.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(reader.fields["tokenizer.chat_template"].contents())
    chats = []
    for messages in CHATS:
        for prompt in (False, True):
            as_dicts = [{"role": r, "content": c} for r, c in messages]
            text = template.render(messages=as_dicts, add_generation_prompt=prompt)
            chats.append({"messages": as_dicts, "add_generation_prompt": prompt, "text": text,
                          "ids": tokenizer.encode(text, add_special_tokens=False).ids})
    dump("chats.json", chats)
    print(len(texts), "strings,", sum(len(t["ids"]) for t in tokens), "tokens,", len(chats), "chats")


if __name__ == "__main__":
    main()

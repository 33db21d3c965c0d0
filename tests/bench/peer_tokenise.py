"""Hugging Face's tokenizers and OpenAI's tiktoken on a text, one thread: seconds, and the ids written to files.

    python peer_tokenise.py MODEL.gguf

Takes requests as bench_engine.cpp does, one JSON a line:
    {"do": "tokenise", "with": "tokenizers" | "tiktoken", "file": F, "repeat": N, "ids": O}

Both are built from the file's own vocabulary and merges. tokenizers: as the golden values (tests/golden/make_tokens.py).
tiktoken knows no merges: it joins the neighbours whose bytes together have the lowest rank, so a token's rank is that of
the merge that makes it; its ids are then those of the file. Its pattern is GPT-2's with every number alone, as `smollm`.
"""

import array
import json
import os
import pathlib
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread, as ours
os.environ["RAYON_NUM_THREADS"] = "1"

import tiktoken  # noqa: E402
from gguf import GGUFReader  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
from make_tokens import CONTROL, make_tokenizer  # noqa: E402

# White space before a number is a piece of its own to its last character: numbers are cut out before the pattern runs.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"""


def byte_letters():
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    return {**{chr(b): b for b in shown}, **{chr(256 + i): b for i, b in enumerate(hidden)}}


class Tiktoken:
    def __init__(self, reader):
        letters = byte_letters()
        tokens = reader.fields["tokenizer.ggml.tokens"].contents()
        kinds = reader.fields["tokenizer.ggml.token_type"].contents()
        merges = reader.fields["tokenizer.ggml.merges"].contents()
        ids = {token: i for i, token in enumerate(tokens)}
        ranks = {bytes([b]): b for b in range(256)}
        self.ids = {b: ids.get(letter) for letter, b in letters.items()}
        for merge in merges:
            token = merge.replace(" ", "")
            text = bytes(letters[c] for c in token)
            if text not in ranks:  # a token that two merges make has the first one's rank
                self.ids[len(ranks)] = ids[token]
                ranks[text] = len(ranks)
        special = {t: i for i, (t, kind) in enumerate(zip(tokens, kinds)) if kind == CONTROL}
        first = len(ranks)
        self.ids.update({first + i: id_ for i, id_ in enumerate(special.values())})
        self.encoding = tiktoken.Encoding(
            "file", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={t: first + i for i, t in enumerate(special)})

    def encode(self, text):
        return self.encoding.encode(text, allowed_special="all")

    def file_ids(self, encoded):
        return [self.ids[i] for i in encoded if self.ids[i] is not None]  # bytes that the vocabulary lacks are dropped


class Tokenizers:
    def __init__(self, reader):
        self.tokenizer = make_tokenizer(reader)

    def encode(self, text):
        # The fastest call that it has: no offsets are worked out.
        return self.tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]

    def file_ids(self, encoded):
        return encoded.ids


def main():
    reader = GGUFReader(sys.argv[1])
    peers = {"tokenizers": Tokenizers(reader), "tiktoken": Tiktoken(reader)}
    for line in sys.stdin:
        request = json.loads(line)
        peer, text = peers[request["with"]], pathlib.Path(request["file"]).read_text(encoding="utf-8")
        ids = peer.file_ids(peer.encode(text))
        if request.get("ids"):
            pathlib.Path(request["ids"]).write_bytes(array.array("i", ids).tobytes())
        seconds = []
        for _ in range(request["repeat"]):
            begun = time.perf_counter()
            peer.encode(text)
            seconds.append(time.perf_counter() - begun)
        print(json.dumps({"bytes": len(text.encode()), "tokens": len(ids), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

"""Writes sampler.json: Hugging Face's logits processors on random logits.

Each case is a chain of transformers' processors in some order on one vector of logits, computed in fp64. Written are the
ids that are left after each stage and the final probabilities. Presence and frequency penalties are not transformers';
test_sampler.cpp checks them against its own plain implementation.

Run: python make_sampler.py
"""

import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from golden_io import Path, f32_list, f64_round, quiet_single_thread, splitmix64, versions, write_json

VOCAB = 211  # no power of two, so that no block size hides a rest
ORDERS = [
    ["temperature", "top_k", "top_p", "min_p"],
    ["top_k", "top_p", "min_p", "temperature"],
    ["min_p", "temperature", "top_p", "top_k"],
    ["top_p", "top_k", "temperature", "min_p"],
]
SETTINGS = [
    # repetition, temperature, k, p, min_p
    (1.0, 1.0, 0, 1.0, 0.0),
    (1.0, 1.5, 16, 0.9, 0.05),
    (1.0, 0.7, 40, 0.95, 0.05),
    (1.3, 1.0, 0, 0.5, 0.0),
    (0.8, 2.0, 7, 1.0, 0.2),
    (1.1, 0.25, 0, 0.999, 0.001),
    (1.0, 4.0, 100, 0.3, 0.0),
    (2.0, 1.0, 1, 0.9, 0.5),
]


def logits_of(seed, spread):
    """Sums of uniform numbers: a bell with a long enough tail, the same on every machine."""
    numbers = splitmix64(seed)
    values = [spread * (sum(next(numbers) / 2**64 for _ in range(4)) - 2.0) for _ in range(VOCAB)]
    return f32_list(values)


def warper(stage, temperature, k, p, min_p):
    if stage == "temperature":
        return TemperatureLogitsWarper(temperature)
    if stage == "top_k":
        return TopKLogitsWarper(k) if k else None
    if stage == "top_p":
        return TopPLogitsWarper(p) if p < 1 else None
    return MinPLogitsWarper(min_p) if min_p > 0 else None


def run(logits, context, order, settings):
    repetition, temperature, k, p, min_p = settings
    ids = torch.tensor([context], dtype=torch.long)
    scores = torch.tensor([logits], dtype=torch.float64)
    if repetition != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(penalty=repetition)(ids, scores)
    kept = []
    for stage in order:
        process = warper(stage, temperature, k, p, min_p)
        if process is not None:
            scores = process(ids, scores)
        kept.append([i for i in range(VOCAB) if scores[0, i] != -float("inf")])
    probs = torch.softmax(scores, dim=-1)[0]
    return kept, [f64_round(probs[i]) for i in kept[-1]]


def main():
    quiet_single_thread()
    vectors = [logits_of(seed, spread) for seed, spread in ((1, 3.0), (2, 6.0), (3, 1.0))]
    context = [3, 5, 5, 17, 100, 3, 210, 42]
    cases = []
    for v, logits in enumerate(vectors):
        for s, settings in enumerate(SETTINGS):
            order = ORDERS[(v + s) % len(ORDERS)]
            kept, probs = run(logits, context, order, settings)
            names = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p")
            cases.append({
                "vector": v,
                "settings": dict(zip(names, settings)) | {"order": order, "penalty_window": -1},
                "kept": [len(ids) for ids in kept],
                "kept_ids": kept[-1],
                "probs": probs,
            })
    write_json(Path(__file__).parent / "sampler.json", {
        "format": 1,
        "made_by": "tests/golden/make_sampler.py",
        "versions": versions("torch", "transformers"),
        "context": context,
        "vectors": vectors,
        "cases": cases,
    })


if __name__ == "__main__":
    main()

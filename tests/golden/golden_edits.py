"""Edits of a forward of transformers' Llama, and the cases of model_edits.json. README.md describes the kinds."""

import math

import torch
from golden_io import Hooks, watch_llama


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

"""Prune a decoder of transformers with random weights block by block, and say what it takes. Run it: it measures.

The default size is that of TinyLlama, 1.1 billion parameters. A smaller one:
``python benchmarks/decoder.py --layers 4 --hidden 256 --intermediate 688 --heads 8 --vocabulary 1000``.
"""

import argparse
import time
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from lightning_prune import NofM, Prunable, criteria, layerwise, per_row, prune
from lightning_prune.callbacks.masking.in_blocks import peak_memory
from lightning_prune.criteria import OnBatches

CRITERIA = {"sparse_gpt": (criteria.sparse_gpt, layerwise), "wanda": (criteria.wanda, per_row)}


def decoder(options: argparse.Namespace) -> nn.Module:
    """A decoder with random weights, made in its precision."""
    config = LlamaConfig(
        vocab_size=options.vocabulary, hidden_size=options.hidden, intermediate_size=options.intermediate,
        num_hidden_layers=options.layers, num_attention_heads=options.heads,
        num_key_value_heads=max(options.heads // 8, 1), max_position_embeddings=options.length, use_cache=False,
    )  # fmt: skip
    torch.set_default_dtype(getattr(torch, options.precision))
    try:
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval().to(options.device)
    finally:
        torch.set_default_dtype(torch.float32)


def tokens(options: argparse.Namespace) -> list[dict[str, torch.Tensor]]:
    """Sequences of random tokens, one a batch."""
    shape = (1, options.length)
    made = (torch.randint(options.vocabulary, shape, device=options.device) for _ in range(options.sequences))
    return [{"input_ids": one} for one in made]


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"layers": 22, "hidden": 2048, "intermediate": 5632, "heads": 32, "vocabulary": 32000}
    for name, value in {**sizes, "sequences": 8, "length": 128}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{value}, if it is not given")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--criterion", choices=CRITERIA, default="sparse_gpt")
    parser.add_argument("--two-of-four", action="store_true", help="prune to 2:4 and not to half of each layer")
    return parser.parse_args()


def main() -> None:
    """Prune, and print a table."""
    options = parsed()
    net = decoder(options)
    weights = sum(one.numel() for one in net.parameters())
    before = peak_memory(torch.device(options.device))
    criterion, allocation = CRITERIA[options.criterion]
    chosen: dict[str, Any] = {"granularity": NofM(2, 4)} if options.two_of_four else {"allocation": allocation}
    began, computed = time.perf_counter(), time.process_time()
    masks = prune(
        net, 0.5, prunable=Prunable(include="model.layers.*"), criterion=OnBatches(criterion, options.sequences),
        batches=tokens(options), blocks="model.layers.*", **chosen,
    )  # fmt: skip
    rows = {
        "parameters": f"{weights:,}",
        "pruned": repr(masks),
        "tokens": f"{options.sequences} sequences of {options.length}",
        "weights in memory": f"{weights * next(net.parameters()).element_size() / 2**30:.2f} GiB",
        "most memory before": f"{before:.2f} GiB",
        "most memory": f"{peak_memory(torch.device(options.device)):.2f} GiB",
        "CPU time": f"{time.process_time() - computed:.0f} s",
        "time": f"{time.perf_counter() - began:.0f} s",
    }
    for name, value in rows.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()

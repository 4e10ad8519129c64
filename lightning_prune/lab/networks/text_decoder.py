"""A small decoder of transformers for text in few symbols, with untrained weights."""

from typing import Any, cast

from torch import Tensor, nn

from lightning_prune.basics.checks import require, require_positive
from lightning_prune.basics.extras import needs_extra


class TextDecoder(nn.Module):
    """Predict the next symbol at every position, with ``LlamaForCausalLM`` of transformers and untrained weights.

    The blocks are ``decoder.model.layers.*``. Their layers are ``nn.Linear`` without biases. The defaults have 0.5
    million parameters. The scores are given as ``Classifier`` reads them, with one class a symbol.

    Args:
        symbols: Number of different symbols, at least 1.
        length: Largest number of positions, at least 1.
        width: Size of the residual stream, a multiple of twice ``heads``.
        layers: Number of blocks, at least 1.
        heads: Number of heads of attention, at least 1.
        hidden: Size of the hidden layer of a block, at least 1. None: ``8 / 3`` of ``width``, as in the
            paper, rounded down to a multiple of 8.
        **kwargs: Further arguments of ``LlamaConfig``. In YAML they are given as ``dict_kwargs``.

    Raises:
        ModuleNotFoundError: If transformers is not installed.
        ValueError: If an argument lies outside its range.

    Example:
        >>> import torch
        >>> network = TextDecoder(symbols=97, width=32, layers=1)
        >>> network(torch.zeros(2, 64, dtype=torch.long)).shape
        torch.Size([2, 97, 64])
        >>> TextDecoder(width=36, heads=4)
        Traceback (most recent call last):
        lightning_prune.UserError: TextDecoder(width=36): `width` must be a multiple of 8, twice the heads.

    Reference:
        Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, https://arxiv.org/abs/2302.13971.
        The sizes are ours.
    """

    def __init__(
        self,
        symbols: int = 97,
        length: int = 64,
        width: int = 144,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        require_positive("TextDecoder", symbols=symbols, length=length, width=width, layers=layers, heads=heads)
        halves = f"be a multiple of {2 * heads}, twice the heads"  # positions turn pairs of numbers
        require(width % (2 * heads) == 0, "TextDecoder", "width", width, halves)
        hidden = hidden if hidden is not None else width // 3 * 8
        require_positive("TextDecoder", hidden=hidden)
        with needs_extra("TextDecoder", "transformers"):
            from transformers import LlamaConfig, LlamaForCausalLM
        sizes = {"hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": layers}
        text = {"vocab_size": symbols, "max_position_embeddings": length, "bos_token_id": None, "eos_token_id": None}
        rest = {"num_attention_heads": heads, "use_cache": False, **kwargs}
        options: dict[str, Any] = {**sizes, **text, **rest}
        self.decoder = LlamaForCausalLM(LlamaConfig(**options))

    def forward(self, text: Tensor) -> Tensor:
        """Map symbols, int64 ``[N, T]``, to scores of the next symbol ``[N, symbols, T]``."""
        return cast(Tensor, self.decoder(input_ids=text).logits.transpose(1, 2))

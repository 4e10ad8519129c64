"""Attention in one operation: a head is one unit of queries, keys, values and the output."""

from lightning_prune.structures.rules.contractions import count, per_batch
from lightning_prune.structures.rules.pointwise import combine
from lightning_prune.structures.rules.registry import Call, rule
from lightning_prune.structures.trace import Trace


@rule(
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math",
)
def attention(trace: Trace, call: Call) -> None:
    """Heads, where several heads of the queries may share a head of keys and values."""
    heads, reason = call["query"].shape[1], f"{call.name}{trace.here} treats samples alike"
    parts = []
    for name in ("query", "key", "value"):
        labels = trace.glue(trace.elements(call[name]), [0], reason)[0]
        parts.append(labels if len(labels) == heads else labels.repeat_interleave(heads // len(labels), 0))
    units = per_batch(trace, call, parts)
    count(trace, call, units)
    labels, mask = units.view(1, -1, 1, 1), call.get("attn_mask", call.get("attn_bias"))
    if mask is not None:
        bias = trace.elements(mask)
        trace.use(mask, 0, "within")
        operands = [(labels.shape, labels), (mask.shape, bias)]
        whole = (mask.shape[0], heads, *mask.shape[2:]) if mask.dim() == 4 else (1, heads, *mask.shape[-2:])
        labels = combine(trace, operands, whole, f"{call.name}{trace.here} adds data of a fixed size")
        labels = labels.narrow(0, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1)
    trace.set(call.outputs[0], labels)
    for output in call.outputs[1:]:
        if output.dim() == 3:  # logarithms of the sums, for the backward pass
            trace.set(output, labels[..., 0])

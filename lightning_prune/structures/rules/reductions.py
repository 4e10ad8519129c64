"""Reductions and other operations that mix what lies along a dimension."""

from lightning_prune.structures.rules.registry import Call, dims_of, one_along, rule
from lightning_prune.structures.trace import Trace


@rule(
    *("mean", "sum", "amax", "amin", "var", "var_mean", "std", "std_mean", "linalg_vector_norm", "norm", "prod", "all"),
    *("any", "max", "min", "argmax", "argmin", "logsumexp", "median", "nansum", "aminmax", "mode"),
)
def reduced(trace: Trace, call: Call) -> None:
    """One value for all places along the dimensions."""
    source = call.source
    if call.name in ("aten.max", "aten.min") and len(call.inputs) > 1:
        return
    labels = trace.elements(source)
    dims = dims_of(call.get("dim"), source.dim())
    labels = trace.glue(labels, dims, f"{call.name}{trace.here} mixes its channels")
    labels = one_along(labels, dims)
    for output in call.outputs:
        trace.set(output, labels if output.dim() == source.dim() else labels.squeeze(tuple(dims)))


@rule("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax")
def softmax(trace: Trace, call: Call) -> None:
    """Every value depends on all others along the dimension."""
    _mixed(trace, call, "mixes its channels")


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argsort")
def in_order(trace: Trace, call: Call) -> None:
    """Values depend on those before."""
    _mixed(trace, call, "depends on the order of its channels")


@rule("topk", "kthvalue")
def chosen(trace: Trace, call: Call) -> None:
    """The largest, whichever they are."""
    dims = dims_of(call.get("dim", -1), call.source.dim())
    labels = trace.glue(trace.elements(call.source), dims, f"{call.name}{trace.here} compares its channels")
    labels = one_along(labels, dims)
    for output in call.outputs:
        trace.set(output, labels if output.dim() == labels.dim() else labels.squeeze(tuple(dims)))


@rule(
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d", "max_pool2d", "avg_pool1d"),
    *(f"{start}adaptive_{kind}_pool{rank}d" for start in ("", "_") for kind in ("avg", "max") for rank in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d")),
    *("upsample_trilinear3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_bilinear2d_aa"),
    *("_upsample_bicubic2d_aa", "grid_sampler_2d", "grid_sampler_3d", "fractional_max_pool2d"),
)
def pooled(trace: Trace, call: Call) -> None:
    """Pictures of another size, channel by channel."""
    source = call.source
    if "grid" in call.given:
        trace.pin_tensor(call["grid"], f"{call.name}{trace.here} takes places from it")
    rank = 1 if "1d" in call.name else 3 if "3d" in call.name else 2
    spatial = range(source.dim() - rank, source.dim())
    labels = trace.glue(trace.elements(source), spatial, f"{call.name}{trace.here} moves over it")
    for output in call.outputs:
        trace.set(output, one_along(labels, spatial))


@rule("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
def compared(trace: Trace, call: Call) -> None:
    """A loss."""
    lost(trace, call)


@rule("nll_loss_forward", "nll_loss2d_forward", "soft_margin_loss", "kl_div", "_ctc_loss", "multi_margin_loss")
def lost(trace: Trace, call: Call) -> None:
    """A loss reads what it is given as it is."""
    for tensor in call.inputs:
        trace.pin_tensor(tensor, f"the loss {call.name}{trace.here} reads it")


def _mixed(trace: Trace, call: Call, what: str) -> None:
    dims = dims_of(call.get("dim", -1), call.source.dim())
    labels = trace.glue(trace.elements(call.source), dims, f"{call.name}{trace.here} {what}")
    for output in call.outputs:
        trace.set(output, labels)

"""Networks of torchvision, timm and transformers with random weights, and what of them code keeps at its size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

IMAGES = torch.randn(2, 3, 64, 64)
LARGE = torch.randn(2, 3, 224, 224)
WORDS = {"input_ids": torch.randint(0, 90, (2, 7))}


@dataclass
class Member:
    """A network.

    Args:
        make: Makes it.
        inputs: What it is run on.
        units: How many groups have to be found at least. 0: nothing can be removed.
        literal: Patterns of groups whose number code holds, where no attribute could be set.
        resize: Sets attributes of the small network.
    """

    make: Callable[[], nn.Module]
    inputs: Any = field(default_factory=lambda: IMAGES)
    groups: int = 1
    literal: tuple[str, ...] = ()
    resize: Callable[[nn.Module], None] | None = None


def _torchvision(name: str, **arguments: Any) -> nn.Module:
    import torchvision

    return getattr(torchvision.models, name)(**arguments)


def _vision_transformer() -> nn.Module:
    import torchvision

    return torchvision.models.VisionTransformer(64, 16, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=48)


def _timm(name: str, **arguments: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=10, **arguments)


def _resize_timm(network: nn.Module) -> None:
    for one in network.modules():
        if hasattr(one, "relative_position_bias_table"):
            one.num_heads = one.relative_position_bias_table.shape[1]
        elif hasattr(one, "qkv") and hasattr(one, "head_dim"):
            one.num_heads = one.qkv.weight.shape[0] // 3 // one.head_dim
            one.attn_dim = one.num_heads * one.head_dim


def _resize_transformers(network: nn.Module) -> None:
    for one in network.modules():
        if type(one).__name__ == "LlamaAttention":
            one.num_key_value_groups = one.q_proj.out_features // one.k_proj.out_features
        if type(one).__name__ == "Conv1D":
            one.nf = one.weight.shape[1]
        if hasattr(one, "query") and hasattr(one, "attention_head_size"):
            one.num_attention_heads = one.query.out_features // one.attention_head_size
            one.all_head_size = one.query.out_features


def _transformers(kind: str, **arguments: Any) -> nn.Module:
    import transformers

    configs = {
        "BertForSequenceClassification": "BertConfig",
        "LlamaForCausalLM": "LlamaConfig",
        "GPT2LMHeadModel": "GPT2Config",
        "ViTForImageClassification": "ViTConfig",
    }
    small = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 48}
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "attn_pdrop", "embd_pdrop", "resid_pdrop")
    off = {name: 0.0 for name in names if name.endswith("pdrop") == kind.startswith("GPT2")}
    given = {**({} if kind.startswith("GPT2") else small), **({} if kind.startswith("Llama") else off), **arguments}
    return getattr(transformers, kind)(getattr(transformers, configs[kind])(**given))


TORCHVISION = {
    **{"resnet18": 12, "resnet50": 37, "resnext50_32x4d": 21, "vgg11_bn": 10},
    **{"mobilenet_v2": 25, "mobilenet_v3_small": 27, "densenet121": 120},
    **{"efficientnet_b0": 40, "regnet_y_400mf": 38, "shufflenet_v2_x1_0": 19},
    **{"squeezenet1_1": 25, "mnasnet0_5": 25, "convnext_tiny": 18},
}
TIMM = {
    **{"deit_tiny_patch16_224": 24, "mixer_s32_224": 16, "ghostnet_100": 31, "mobilenetv4_conv_small": 21},
    **{"hrnet_w18_small": 45, "dla34": 25, "resnet26t": 23, "seresnet50": 53, "repvgg_a0": 5, "poolformer_s12": 12},
    **{"swin_tiny_patch4_window7_224": 24, "convnextv2_atto": 0, "res2net50_26w_4s": 29, "cspdarknet53": 39},
    **{"mobilevit_xxs": 40, "levit_128s": 17, "nf_resnet50": 0, "regnety_002": 33},
}
AT_224 = ("mixer", "swin", "poolformer", "levit", "deit")

ZOO: Mapping[str, Member] = {
    **{name: Member(partial(_torchvision, name), groups=groups) for name, groups in TORCHVISION.items()},
    "googlenet": Member(partial(_torchvision, "googlenet", init_weights=False, aux_logits=False), groups=57),
    "inception_v3": Member(
        partial(_torchvision, "inception_v3", init_weights=False, aux_logits=False), torch.randn(4, 3, 139, 139), 94
    ),
    "VisionTransformer": Member(_vision_transformer, groups=3),
    "swin_t": Member(partial(_torchvision, "swin_t"), groups=24, literal=("*.attn.qkv",)),
    **{
        f"timm {name}": Member(
            partial(_timm, name), LARGE if name.startswith(AT_224) else IMAGES, groups, (), _resize_timm
        )
        for name, groups in TIMM.items()
    },
    **{
        f"transformers {name} {implementation}": Member(
            partial(
                _transformers,
                name,
                vocab_size=90,
                attn_implementation=implementation,
                **({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16} if name.startswith("GPT2") else {}),
                **({"num_key_value_heads": 2, "use_cache": False} if name.startswith("Llama") else {}),
                **({"use_cache": False} if name.startswith("GPT2") else {}),
            ),
            WORDS,
            groups,
            (),
            _resize_transformers,
        )
        for name, groups in (("BertForSequenceClassification", 5), ("LlamaForCausalLM", 4), ("GPT2LMHeadModel", 2))
        for implementation in ("eager", "sdpa")
    },
    "transformers ViTForImageClassification": Member(
        partial(_transformers, "ViTForImageClassification", image_size=32, patch_size=8),
        {"pixel_values": torch.randn(2, 3, 32, 32)},
        4,
        ("*query", "*q_proj"),
    ),
}

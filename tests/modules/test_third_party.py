"""Networks of other people, as their packages make them, are pruned."""

import pytest
import timm
import torch
import torchvision
from lightning.pytorch import LightningModule
from peft import LoraConfig, get_peft_model
from promises import keeps_its_promises
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
)
from zoo import tokens

from lightning_prune import LRRewind, OneCycleRetrain, WeightRewind
from lightning_prune.selection.layer_types import outputs_of


class Classifies(LightningModule):
    """A network that gives a score for each of three classes."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def training_step(self, batch, index):
        scores = self.network(batch[0])
        return nn.functional.cross_entropy(getattr(scores, "logits", scores), batch[1])

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)]


class Continues(Classifies):
    """A language model that brings its own loss."""

    def training_step(self, batch, index):
        return self.network(input_ids=batch[0], labels=batch[0]).loss


def images(size):
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(8, 3, size, size, generator=generator), torch.arange(8) % 3)
    return DataLoader(data, batch_size=4)


def sentences():
    data = torch.cat([words for words, _ in tokens(samples=12)])
    return DataLoader(TensorDataset(data, torch.arange(len(data)) % 3), batch_size=6)


def matrices(network):
    """The names of the weights of convolutions and linear layers, as they should be found."""
    layers = (nn.Conv2d, nn.Linear)
    return [f"network.{name}.weight" for name, layer in network.named_modules() if isinstance(layer, layers)]


def vision_transformer():
    return timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, depth=1, embed_dim=24, num_heads=2)


VISION = {
    "timm vit": (vision_transformer, lambda: [OneCycleRetrain()]),
    "timm mobilenetv3": (lambda: timm.create_model("mobilenetv3_small_050", num_classes=3), lambda: [LRRewind()]),
    "torchvision shufflenet": (
        lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=3),
        lambda: [WeightRewind("1ep")],
    ),
}


@pytest.mark.parametrize(("network", "policy"), VISION.values(), ids=VISION)
def test_a_network_for_images_is_pruned(network, policy, tmp_path):
    names = matrices(network())
    assert len(names) >= 6
    keeps_its_promises(lambda: Classifies(network()), images(32), names, tmp_path, policy)


def bert():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(**sizes, vocab_size=11, max_position_embeddings=8, num_labels=3))


def test_a_transformer_is_pruned(tmp_path):
    names = matrices(bert())
    assert len(names) == 8
    module = keeps_its_promises(lambda: Classifies(bert()), sentences(), names, tmp_path, resumes=True)
    assert module.network.bert.embeddings.word_embeddings.weight[1:].count_nonzero() == 160


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks transformers
def test_adapters_are_pruned_beside_a_base_that_stays_as_it_was(tmp_path):
    def make():
        config = LoraConfig(r=4, target_modules=["query", "value"], modules_to_save=["classifier"])
        return Classifies(get_peft_model(bert(), config))

    base = "network.base_model.model"
    attention = f"{base}.bert.encoder.layer.0.attention.self"
    names = [f"{attention}.{which}.lora_{part}.default.weight" for which in ("query", "value") for part in "AB"]
    names.append(f"{base}.classifier.modules_to_save.default.weight")
    module = keeps_its_promises(make, sentences(), names, tmp_path, resumes=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = dict(make().named_parameters())
    frozen = {name: parameter for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert f"{attention}.query.base_layer.weight" in frozen
    assert all(torch.equal(weight, before[name]) for name, weight in frozen.items())


def gpt2():
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "vocab_size": 11, "n_positions": 8}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def test_a_network_of_conv1d_layers_is_pruned(tmp_path):
    """Its layers are not torch's; that their matrices are transposed is known."""
    layers = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    names = [f"network.transformer.h.0.{layer}.weight" for layer in layers]
    module = keeps_its_promises(lambda: Continues(gpt2()), tokens(), names, tmp_path, resumes=True)
    assert module.network.lm_head.weight is module.network.transformer.wte.weight
    assert outputs_of(module.network.transformer.h[0].mlp.c_fc) == 1


def mixtral():
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    experts = {"num_local_experts": 3, "num_experts_per_tok": 2, "num_key_value_heads": 1}
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**sizes, **experts, vocab_size=11))


def test_stacked_experts_are_pruned(tmp_path):
    stacked = ["gate_up_proj", "down_proj"]
    names = matrices(mixtral()) + [f"network.model.layers.0.mlp.experts.{one}" for one in stacked]
    module = keeps_its_promises(lambda: Continues(mixtral()), tokens(), names, tmp_path)
    assert outputs_of(module.network.model.layers[0].mlp.experts) == 1

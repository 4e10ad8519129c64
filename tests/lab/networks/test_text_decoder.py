"""The decoder of transformers: causal, in the form that the classifier reads, and prunable block by block."""

import sys

import pytest
import torch
from lightning import Trainer, seed_everything

from lightning_prune import IterativePruning, LRRewind, NofM, Prunable, layerwise, prune
from lightning_prune.criteria import InSequence, sparse_gpt
from lightning_prune.lab import Classifier, Docstrings, TextDecoder

BLOCKS = "network.decoder.model.layers.*"
pytest.importorskip("transformers")


def decoder(**sizes):
    torch.manual_seed(0)
    return TextDecoder(**{"symbols": 97, "width": 16, "layers": 1, "heads": 2, **sizes})


def test_a_score_knows_the_characters_up_to_its_own_and_no_later_ones():
    network = decoder(layers=2).eval()
    text = torch.randint(97, (2, 12))
    changed = text.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 97
    with torch.no_grad():
        one, other = network(text), network(changed)
    assert one.shape == (2, 97, 12)
    torch.testing.assert_close(one[..., :7], other[..., :7])
    assert not torch.allclose(one[..., 7:], other[..., 7:])


def test_the_scores_are_those_of_transformers_and_sizes_are_as_given():
    network = decoder(hidden=40, tie_word_embeddings=True)
    text = torch.randint(97, (3, 9))
    assert network(text).equal(network.decoder(input_ids=text).logits.transpose(1, 2))
    assert network.decoder.model.layers[0].mlp.up_proj.weight.shape == (40, 16)
    assert network.decoder.lm_head.weight is network.decoder.model.embed_tokens.weight
    with torch.device("meta"):
        assert (
            sum(one.numel() for one in TextDecoder().parameters())
            == 2 * (4 * 144**2 + 3 * 144 * 384 + 2 * 144) + 144 + 2 * 97 * 144
        )


def test_what_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"TextDecoder\(width=20\): `width` must be a multiple of 8, twice the heads"):
        TextDecoder(width=20)
    with pytest.raises(ValueError, match=r"TextDecoder\(layers=0\): `layers` must be at least 1"):
        TextDecoder(layers=0)
    with pytest.raises(ValueError, match=r"TextDecoder\(hidden=0\)"):
        TextDecoder(hidden=0)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"TextDecoder needs transformers: pip install 'lightning-prune\[t"):
        TextDecoder()


def test_the_classifier_counts_every_character(tmp_path):
    """Loss and accuracy are means over characters, by another way than that of the classifier."""
    data = Docstrings(subset=8, held_out=5, batch_size=2, length=16)
    module = Classifier(decoder(), classes=97)
    tested = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False).test(
        module, datamodule=data, verbose=False
    )[0]
    text, following = data.test_pieces.tensors
    with torch.no_grad():
        chances = module.eval()(text).softmax(dim=1).gather(1, following[:, None]).squeeze(1)
        right = (module(text).argmax(dim=1) == following).float().mean()
    assert tested["test/loss"] == pytest.approx(-chances.log().mean().item(), rel=1e-5)
    assert tested["test/accuracy"] == pytest.approx(right.item(), rel=1e-5)


def test_half_of_every_four_weights_live_in_the_blocks_and_elsewhere_all(tmp_path):
    seed_everything(0, verbose=False)
    module = Classifier(decoder(layers=2), classes=97)
    inner = Prunable(include=BLOCKS)
    pruning = IterativePruning(
        cycles=1, retrain="2it", granularity=NofM(2, 4), criterion=InSequence(sparse_gpt, BLOCKS), prunable=inner
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, callbacks=[pruning, LRRewind()], default_root_dir=tmp_path, **quiet)
    trainer.fit(module, datamodule=Docstrings(subset=8, held_out=2, batch_size=2, length=16))
    for name, weight in module.named_parameters():
        if ".layers." in name and weight.dim() == 2:
            assert (weight.unflatten(1, (-1, 4)).count_nonzero(dim=2) == 2).all(), name
        else:
            assert weight.count_nonzero() > 0.9 * weight.numel(), name


def test_without_a_trainer_the_same_blocks_are_pruned():
    network = decoder(layers=2)
    data = Docstrings(subset=6, batch_size=2, length=16)
    data.setup("fit")
    module = Classifier(network, classes=97)
    batches = list(data.train_dataloader())
    masks = prune(module, 0.5, layerwise, Prunable(include=BLOCKS), sparse_gpt, batches=batches, blocks=BLOCKS)
    assert len(masks) == 14

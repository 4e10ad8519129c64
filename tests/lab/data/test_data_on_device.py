"""Images on the device that trains: the same batches as from the CPU, nothing pinned, and refused where they are on disk.

The device "meta" stands for an accelerator: tensors move there and are indexed there, and are told from those of the CPU.
"""

import os

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from processes import in_processes
from recording import Recorder, run

from lightning_prune.lab import CIFAR10, CIFAR100, MNIST, Digits, ImageFolders
from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.image_set import ImageSet, ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization

META = torch.device("meta")


@pytest.fixture(params=["digits", "cifar10", "folders", "folders with val"])
def make(request, tmp_path, cifar, make_tree):
    """Make a data module of every kind of images in memory; arguments are passed on."""
    parts = {"train": 24, "test": 6} | ({"val": 4} if request.param == "folders with val" else {})
    tree = {"root": str(make_tree(tmp_path / "pets", parts)), "image_size": 8}
    downloaded = {"root": str(cifar), "download": False}
    kinds = {"digits": (Digits, {}), "cifar10": (CIFAR10, downloaded)}
    kind, given = kinds.get(request.param, (ImageFolders, tree))
    return lambda **arguments: kind(**given, batch_size=4, subset=10, padding=2, **arguments)


class AnyDevice(CPUAccelerator):
    """An accelerator that leaves the choice of the device to the strategy."""

    def setup_device(self, device):
        pass


class OneDevice(SingleDeviceStrategy):
    """A strategy that reads nothing from its device: neither the length of a loader nor the network in the end."""

    def reduce(self, tensor, *_, **__):
        return torch.ones_like(tensor, device="cpu")

    def teardown(self):
        pass


def trainer_on(device: torch.device) -> Trainer:
    return Trainer(
        strategy=OneDevice(device, accelerator=AnyDevice()), max_epochs=1, num_sanity_val_steps=0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def devices(data: ImageData) -> set[str]:
    """Where all parts of the images and their labels are."""
    parts = [data.source.train, data.source.test, data.train_images.dataset, data.validation_images.dataset]
    return {tensor.device.type for part in parts for tensor in (part.images, part.labels)}


def loaders(data: ImageData) -> list:
    return [data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()]


def same_batches(one: dict, other: dict) -> bool:
    assert one.keys() == other.keys()
    for stage in one:
        assert one[stage]
        for (images, labels), (other_images, other_labels) in zip(one[stage], other[stage], strict=True):
            if not (images.equal(other_images) and labels.equal(other_labels)):
                return False
    return True


def test_on_the_cpu_it_changes_no_bit_and_no_draw(make):
    plain = run(make(), epochs=2)
    draws = torch.get_rng_state()
    assert same_batches(plain, run(make(on_device=True), epochs=2))
    assert torch.get_rng_state().equal(draws)


def test_every_part_moves_to_the_device_of_the_trainer_once(make):
    data = make(on_device=True)
    trainer = trainer_on(META)
    data.trainer = trainer
    data.setup("fit")
    assert devices(data) == {"meta"}
    moved = data.source.train.images
    data.setup("test")
    assert data.source.train.images is moved
    for loader in loaders(data):
        images, labels = next(iter(loader))
        assert (images.device, labels.device, len(images)) == (META, META, len(labels))


def test_the_images_follow_to_the_device_of_another_trainer(make):
    data = make(on_device=True)
    first, second = Recorder(), Recorder()
    trainer_on(torch.device("cpu")).fit(first, datamodule=data)
    assert devices(data) == {"cpu"}
    trainer_on(META).test(second, datamodule=data, verbose=False)
    assert devices(data) == {"meta"}
    assert {tensor.device.type for batch in first.seen["train"] + first.seen["val"] for tensor in batch} == {"cpu"}
    assert {tensor.device for batch in second.seen["test"] for tensor in batch} == {META}


def test_batches_come_to_the_module_where_the_images_stay_behind(make):
    data, recorder = make(), Recorder()
    trainer_on(META).test(recorder, datamodule=data, verbose=False)
    assert devices(data) == {"cpu"}
    assert {tensor.device for batch in recorder.seen["test"] for tensor in batch} == {META}


def test_without_a_trainer_the_images_stay_where_they_are(make):
    data = make(on_device=True)
    data.setup("fit")
    assert devices(data) == {"cpu"}
    assert len(next(iter(data.train_dataloader()))[1]) == 4


def test_nothing_is_pinned_and_no_process_started(make, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for on_device in (True, False):
        data = make(on_device=on_device)
        data.setup("fit")
        assert [loader.pin_memory for loader in loaders(data)] == [not on_device] * 4
        assert [loader.num_workers for loader in loaders(data)] == [0] * 4


@pytest.mark.parametrize("kind", [Digits, MNIST, CIFAR10, CIFAR100, ImageFolders])
def test_every_data_module_has_it_and_none_by_default(kind):
    root = {} if kind is Digits else {"root": "nowhere"}
    assert kind(**root, on_device=True).on_device
    assert not kind(**root).on_device


@pytest.mark.parametrize("cache", [None, "cache"])
def test_images_above_the_limit_are_refused_before_any_is_decoded(tree, tmp_path, monkeypatch, cache):
    def decoded(*_):
        raise AssertionError("An image was decoded.")

    monkeypatch.setattr("lightning_prune.lab.data.decoding.Decoder.__call__", decoded)
    folder = cache and str(tmp_path / cache)
    data = ImageFolders(str(tree), image_size=100, memory_limit=0.001, on_device=True, cache=folder)
    message = (
        r"ImageFolders\(on_device=True\): `on_device` must be False, or `memory_limit` 0.002 gigabytes or more: above"
    )
    with pytest.raises(ValueError, match=message):
        trainer_on(META).fit(Recorder(), datamodule=data)


class Elsewhere(ImageSet):
    """Images of a user's own, which no device can hold."""

    def __len__(self):
        return 4

    def __getitems__(self, indices):
        return torch.zeros(len(indices), 1, 8, 8, dtype=torch.uint8), torch.zeros(len(indices), dtype=torch.int64)


class Streamed(ImageData):
    """A data module of a user's own: some of its images are not in memory, and it asks for processes."""

    num_classes = 2

    def __init__(self, test, on_device=False):
        super().__init__(2, 0.5, 0, None, Augmentation(padding=0, flip=False), on_device)
        self.test = test

    def load(self):
        train = ImagesInMemory(*Elsewhere().__getitems__(range(4)))
        return ImageSource(train, self.test(train), Normalization((0.5,), (0.5,)), ("cat", "dog"), workers=1)


def test_images_that_are_not_all_in_memory_are_refused():
    data = Streamed(lambda train: Elsewhere(), on_device=True)
    for stage in ("fit", "test"):
        with pytest.raises(ValueError, match=r"Streamed\(on_device=True\): `on_device` must be False: its images are"):
            data.setup(stage)


def test_processes_asked_for_are_not_started_where_the_device_holds_the_images():
    for on_device, workers in ((True, 0), (False, 1)):
        data = Streamed(lambda train: train, on_device)
        data.setup("fit")
        assert [loader.num_workers for loader in loaders(data)] == [workers] * 4


def test_a_device_without_room_says_what_to_do(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("Tried to allocate 40 GiB.")

    monkeypatch.setattr(ImagesInMemory, "move_", full)
    message = (
        r"Digits\(on_device=True\): meta has no room for the images. Set `on_device=False`. Tried to allocate 40 GiB."
    )
    with pytest.raises(torch.OutOfMemoryError, match=message):
        trainer_on(META).fit(Recorder(), datamodule=Digits(on_device=True))


def run_in_a_group(folder):
    for on_device in (False, True):
        seen = run(Digits(batch_size=16, subset=100, padding=2, on_device=on_device), 2, strategy="ddp", devices=2)
        torch.save(seen, folder / f"{on_device} {os.environ['RANK']}.pt")


@pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders")  # inherited by the processes
def test_every_process_of_a_group_sees_what_it_sees_without(tmp_path):
    in_processes(2, run_in_a_group, tmp_path)
    seen = {file.stem: torch.load(file) for file in tmp_path.iterdir()}
    for rank in (0, 1):
        assert same_batches(seen[f"False {rank}"], seen[f"True {rank}"])
    assert not same_batches(seen["True 0"], seen["True 1"])

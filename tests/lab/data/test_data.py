"""Data modules: what every one of them promises, on generated images and on the digits."""

import pytest
import torch
from recording import run
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from lightning_prune.ablation.planning.fingerprints import data_content
from lightning_prune.lab import CIFAR10, CIFAR100, Digits, ImageFolders
from lightning_prune.lab.data.augmentation import (
    Augmentation,
    random_flip,
    random_shift,
    random_turn,
    reflected,
    turned,
)
from lightning_prune.lab.data.data_module import ImageData
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization, normalization_of


@pytest.fixture(params=["digits", "cifar10", "cifar100", "folders in memory", "folders on disk"])
def make(request, tree, cifar):
    """Make a data module of every kind; arguments are passed on."""
    root = {"root": str(cifar), "download": False}
    return {
        "digits": Digits,
        "cifar10": lambda **kwargs: CIFAR10(**{**root, **kwargs}),
        "cifar100": lambda **kwargs: CIFAR100(**{**root, **kwargs}),
        "folders in memory": lambda **kwargs: ImageFolders(**{"root": str(tree), "image_size": 8, **kwargs}),
        "folders on disk": lambda **kwargs: ImageFolders(
            **{"root": str(tree), "image_size": 8, "memory_limit": 0.0, "workers": 1, **kwargs}
        ),
    }[request.param]


def ready(data: ImageData) -> ImageData:
    data.prepare_data()
    data.setup("fit")
    return data


def order(data: ImageData) -> tuple[list[int], list[int]]:
    return list(data.train_images.indices), list(data.validation_images.indices)


def test_parts_are_disjoint_and_seeded(make):
    data = ready(make(validation=0.25, seed=1))
    train, validation = order(data)
    total = len(data.source.train)
    assert len(validation) == round(total / 4)
    assert sorted(train + validation) == list(range(total))
    assert order(ready(make(validation=0.25, seed=1))) == (train, validation)
    assert order(ready(make(validation=0.25, seed=2))) != (train, validation)


def test_a_whole_number_sets_exactly_so_many_images_apart(make):
    data = ready(make(validation=7, seed=1))
    train, validation = order(data)
    assert len(validation) == 7
    assert sorted(train + validation) == list(range(len(data.source.train)))
    fraction = 7 / len(data.source.train)
    assert order(ready(make(validation=fraction, seed=1))) == (train, validation)


def test_more_images_apart_than_there_are_is_refused_when_they_are_known(make):
    data = make(validation=2000)
    with pytest.raises(
        ValueError, match=rf"{type(data).__name__}\(validation=2000\): `validation` must be below \d+, the"
    ):
        ready(data)


def test_a_subset_is_the_beginning_of_the_training_images(make):
    train, validation = order(ready(make()))
    assert order(ready(make(subset=5))) == (train[:5], validation)


def test_the_seed_leaves_the_global_generator_alone(make):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    ready(make())
    assert torch.rand(1).equal(expected)


def test_loaders_hand_out_whole_batches_of_bytes(make):
    data = ready(make(batch_size=4, subset=10))
    loader = data.train_dataloader()
    sizes = [len(labels) for _, labels in loader]
    assert sizes == [4, 4, 2]
    images, labels = next(iter(data.test_dataloader()))
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert images.ndim == 4
    assert max(labels) < data.num_classes == len(data.classes)
    first, label = data.source.test[0]
    assert first.equal(images[0])
    assert label == labels[0]


def test_every_epoch_has_all_training_images_in_a_fresh_order():
    torch.manual_seed(0)
    data = ready(Digits(batch_size=100, subset=500))
    first, second = (torch.cat([images for images, _ in data.train_dataloader()]).flatten(1) for _ in range(2))
    assert not first.equal(second)
    assert first.unique(dim=0).equal(second.unique(dim=0))


def in_order(batches: list, data: ImageData, indices: list[int]) -> bool:
    """Whether the batches are the normalized images of the source, unchanged, whatever their order."""
    images, _ = data.source.train.__getitems__(indices)
    plain = data.normalization(images).flatten(1).sum(dim=1).sort().values
    given = torch.cat([images for images, _ in batches]).flatten(1).sum(dim=1).sort().values
    return torch.allclose(plain, given, atol=1e-3)


def test_only_training_images_vary(make):
    data = make(batch_size=1000, subset=8, padding=3)
    seen = run(data, epochs=2)
    train, validation = order(data)
    first, second = seen["val"]
    assert first[0].equal(second[0])
    assert in_order([first], data, validation)
    assert not in_order(seen["train"][:1], data, train)
    first, second = (images[labels.argsort(stable=True)] for images, labels in seen["train"])
    assert not first.equal(second)
    assert [images.dtype for images, _ in seen["test"]] == [torch.float32]


def test_the_global_generator_repeats_order_and_augmentation(make):
    first, second = (run(make(batch_size=4, subset=8))["train"] for _ in range(2))
    assert all(one.equal(other) for (one, _), (other, _) in zip(first, second, strict=True))


def test_without_augmentation_images_are_only_normalized(make):
    arguments = {"padding": 0, "subset": 8} if make is Digits else {"padding": 0, "flip": False, "subset": 8}
    data = make(**arguments)
    assert in_order(run(data)["train"], data, order(data)[0])


@pytest.mark.filterwarnings("ignore:You requested to overfit")  # Lightning tells that it stops shuffling
def test_lightning_can_limit_and_overfit(make):
    seen = run(make(batch_size=2, subset=8), limit_train_batches=3)
    assert len(seen["train"]) == 3
    first, second = run(make(batch_size=2, padding=0, subset=8), epochs=2, overfit_batches=1)["train"]
    assert first[1].equal(second[1])


def test_distributed_samplers_can_be_put_in(make):
    from lightning.pytorch.utilities.data import _update_dataloader
    from torch.utils.data import DistributedSampler

    data = ready(make(batch_size=4, subset=8))
    loader = data.train_dataloader()
    sampler = DistributedSampler(loader.dataset, num_replicas=2, rank=0)
    batches = list(_update_dataloader(loader, sampler))
    assert [images.shape[0] for images, _ in batches] == [4]


def test_before_setup_the_error_says_what_to_do(make):
    data = make()
    with pytest.raises(RuntimeError, match=rf"{type(data).__name__} has no images yet. Call .*setup\('fit'\)"):
        data.train_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"Digits\(batch_size=0\): `batch_size` must be at least 1"),
        (
            {"validation": 1.0},
            r"Digits\(validation=1.0\): `validation` must be a fraction in \[0, 1\), or a whole number",
        ),
        ({"validation": 2.5}, r"Digits\(validation=2.5\)"),
        ({"validation": -3}, r"Digits\(validation=-3\)"),
        ({"subset": 0}, r"Digits\(subset=0\): `subset` must be at least 1, or None"),
        ({"padding": -1}, r"Augmentation\(padding=-1\)"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Digits(**arguments)


def test_digits_are_complete_normalized_and_tested_on_the_same_images():
    first, second = ready(Digits(seed=0)), ready(Digits(seed=1))
    train, test = first.source.train, first.source.test
    assert (len(train), len(test)) == (1437, 360)
    assert test.images.equal(second.source.test.images)
    normalized = first.normalization(torch.cat([train.images, test.images]))
    assert normalized.mean().abs() < 1e-3
    assert (normalized.std() - 1).abs() < 1e-3


def test_a_shift_moves_the_image_and_a_flip_mirrors_it():
    torch.manual_seed(0)
    image = torch.randint(1, 256, (1, 2, 5, 6), dtype=torch.uint8)
    shifted = random_shift(image.expand(200, -1, -1, -1), padding=1)
    padded = torch.nn.functional.pad(image[0], [1] * 4)
    windows = [padded[:, top : top + 5, left : left + 6] for top in range(3) for left in range(3)]
    found = {next(place for place, window in enumerate(windows) if window.equal(one)) for one in shifted}
    assert found == set(range(9))
    flipped = random_flip(image.expand(200, -1, -1, -1))
    mirrored = sum(one.equal(image[0].flip(-1)) for one in flipped)
    assert mirrored + sum(one.equal(image[0]) for one in flipped) == 200
    assert 70 < mirrored < 130


def test_a_whole_batch_is_not_given_one_draw():
    images = torch.randint(256, (64, 3, 8, 8), dtype=torch.uint8)
    same = Augmentation(padding=2, flip=True)(images[:1].expand(64, -1, -1, -1))
    assert len(same.unique(dim=0)) > 8


def test_a_reflection_at_the_border_is_torchs_also_for_bytes():
    torch.manual_seed(0)
    images = torch.randint(256, (4, 3, 8, 6), dtype=torch.uint8)
    expected = torch.nn.functional.pad(images.float(), [3] * 4, mode="reflect")
    assert reflected(images, 3).dtype == torch.uint8
    assert reflected(images, 3).float().equal(expected)
    bright = torch.full((50, 1, 8, 8), 9, dtype=torch.uint8)
    assert Augmentation(padding=4, flip=True, border="reflect")(bright).equal(bright)
    assert not random_shift(bright, 4).all()
    with pytest.raises(
        ValueError, match=r"Augmentation\(padding=8\): `padding` must be below 8, the size of the images"
    ):
        Augmentation(padding=8, flip=False, border="reflect")(bright)


@pytest.mark.parametrize("height", [32, 20])
def test_a_turn_is_torchvisions(height):
    torch.manual_seed(0)
    images = torch.randint(1, 256, (9, 3, height, 32), dtype=torch.uint8)
    angles = torch.rand(9) * 360 - 180
    expected = [
        rotate(one, angle, InterpolationMode.NEAREST) for one, angle in zip(images, angles.tolist(), strict=True)
    ]
    assert turned(images, angles).equal(torch.stack(expected))


def test_every_image_is_turned_by_an_angle_of_its_own_within_the_limit():
    torch.manual_seed(0)
    line = torch.zeros(1, 1, 65, 65)
    line[:, :, 32, 33:] = 1  # from the center to the right
    turns = random_turn(line.expand(300, -1, -1, -1), degrees=15)
    rows = (turns[:, 0, :, 60].argmax(dim=1) - 32).float()
    angles = (rows / 28).atan().rad2deg()
    assert len(rows.unique()) > 10
    assert 13 < angles.max() < 16
    assert -16 < angles.min() < -13
    varied = Augmentation(padding=0, flip=False, rotation=15)
    assert not varied(line).equal(line)


def test_new_ways_to_vary_images_leave_the_names_of_nodes_as_they_were():
    """Else every study on CIFAR that was trained before would be trained again."""

    def settings(**arguments):
        data = CIFAR10(**arguments)
        given = {"root": ".data", "padding": 4, "border": "black", "rotation": 0.0, **arguments}
        return data_content(data, {"class_path": "lightning_prune.lab.CIFAR10", "init_args": given})[0]["init_args"]

    assert settings() == {"padding": 4}
    assert settings(border="reflect") == {"padding": 4, "border": "reflect"}
    assert settings(rotation=15) == {"padding": 4, "rotation": 15}


def test_normalization_is_measured_exactly():
    images = torch.randint(0, 200, (50, 3, 7, 5), dtype=torch.uint8)
    measured = normalization_of(images)
    normalized = measured(images)
    assert normalized.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (normalized.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    reference = (images / 255 - torch.tensor(measured.mean)[:, None, None]) / torch.tensor(measured.std)[:, None, None]
    torch.testing.assert_close(normalized, reference)


def test_what_is_not_an_image_set_or_a_normalization_is_refused():
    with pytest.raises(ValueError, match=r"torch.float32 \[2, 3\]'\): `images` must be torch.uint8 \[N, C, H, W\]"):
        ImagesInMemory(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ValueError, match=r"`labels` must be 2, one an image"):
        ImagesInMemory(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(3))
    with pytest.raises(ValueError, match="a channel that never varies"):
        normalization_of(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="one value for each of mean"):
        Normalization(mean=(0.5,), std=(1.0, 1.0))

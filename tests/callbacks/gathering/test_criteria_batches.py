"""Which batches a criterion sees: a fair sample, and the loader that trains keeps its place."""

import pytest
import torch
from gathering import Ask
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset
from toys import Images, Toy, equal, fit

from lightning_prune.callbacks.gathering.training_batches import draw


def indices(loader, count=3, **options):
    """Which examples are drawn; the data sets number them."""

    class Data(Images):
        def train_dataloader(self):
            return loader

    asks = Ask(lambda trainer: draw(trainer, count, 7), epoch=0)
    fit([asks], Counted(), Data(), max_epochs=1, **options)
    return asks.answer


class Counted(Toy):
    def training_step(self, batch, index):
        return self.net[4].weight.sum() * 0


def numbers(count=48):
    return TensorDataset(torch.arange(count))


def test_batches_are_a_random_sample_of_the_size_of_the_loader():
    drawn = indices(DataLoader(numbers(), batch_size=8, shuffle=True))
    assert [len(batch[0]) for batch in drawn] == [8, 8, 8]
    together = torch.cat([batch[0] for batch in drawn]).tolist()
    assert len(set(together)) == 24
    assert together != sorted(together)
    assert equal(drawn, indices(DataLoader(numbers(), batch_size=8))), "in order or shuffled: the same sample"


def test_less_data_than_wanted_gives_what_there_is_and_no_incomplete_batch():
    assert [len(b[0]) for b in indices(DataLoader(numbers(20), batch_size=8), count=30)] == [8, 8]
    assert [len(b[0]) for b in indices(DataLoader(numbers(5), batch_size=8), count=30)] == [5]


def test_a_subset_by_its_sampler_stays_a_subset():
    only = list(range(10, 30))
    drawn = indices(DataLoader(numbers(), batch_size=4, sampler=SubsetRandomSampler(only)), count=5)
    assert sorted(torch.cat([b[0] for b in drawn]).tolist()) == only


def test_a_sampler_of_ones_own_is_followed_on_a_copy():
    class Strange(torch.utils.data.Sampler):
        def __init__(self):
            self.generator, self.begun = torch.Generator().manual_seed(3), 0

        def __iter__(self):
            self.begun += 1
            yield from torch.randint(10, (24,), generator=self.generator).tolist()

        def __len__(self):
            return 24

    sampler = Strange()

    def ask(trainer):
        before = sampler.generator.get_state(), sampler.begun
        drawn = draw(trainer, 3, 7)
        return drawn, equal(before, (sampler.generator.get_state(), sampler.begun))

    class Data(Images):
        def train_dataloader(self):
            return DataLoader(numbers(), batch_size=8, sampler=sampler)

    asks = Ask(ask, epoch=0)
    fit([asks], Counted(), Data(), max_epochs=1)
    drawn, untouched = asks.answer
    assert untouched
    assert [len(batch[0]) for batch in drawn] == [8, 8, 8]
    assert max(torch.cat([batch[0] for batch in drawn]).tolist()) < 10


def test_batches_of_a_sampler_of_ones_own_have_its_sizes():
    class Sizes(torch.utils.data.BatchSampler):
        def __iter__(self):
            yield from ([0, 1, 2], [3, 4], [5])

        def __len__(self):
            return 3

    loader = DataLoader(numbers(), batch_sampler=Sizes(range(48), 2, False))
    assert [b[0].tolist() for b in indices(loader, count=2)] == [[0, 1, 2], [3, 4]]


def test_several_loaders_come_combined_as_in_training():
    loaders = {"a": DataLoader(numbers(), batch_size=8), "b": DataLoader(numbers(8), batch_size=4)}
    drawn = indices(loaders)
    assert [{name: len(batch[name][0]) for name in batch} for batch in drawn] == [{"a": 8, "b": 4}] * 3


class Stream(IterableDataset):
    def __init__(self):
        self.place = 0

    def __iter__(self):
        while self.place < 48:
            self.place += 1
            yield self.place - 1


def test_a_stream_is_read_on_a_copy():
    stream = Stream()
    asked = []

    def ask(trainer):
        before = stream.place
        asked.append((draw(trainer, 2, 7), stream.place == before))

    class Data(Images):
        def train_dataloader(self):
            return DataLoader(stream, batch_size=8)

    fit([Ask(ask, epoch=0)], Counted(), Data(), max_epochs=1)
    batches, stayed = asked[0]
    assert stayed
    assert [len(batch) for batch in batches] == [8, 8]


def test_a_stream_that_cannot_be_copied_is_refused_by_name():
    class Live(Stream):
        def __deepcopy__(self, memo):
            raise TypeError("a socket")

    with pytest.raises(ValueError, match=r"Live cannot be copied .*\(a socket\)"):
        indices(DataLoader(Live(), batch_size=8))


def test_overfitting_looks_at_no_other_batches():
    drawn = indices(DataLoader(numbers(), batch_size=8), count=9, overfit_batches=2)
    assert sorted(torch.cat([b[0] for b in drawn]).tolist()) == list(range(16))

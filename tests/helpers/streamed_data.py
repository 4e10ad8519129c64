"""Data without a length."""

from torch.utils.data import DataLoader, IterableDataset
from toys import Images


class Streamed(Images):
    def train_dataloader(self):
        class Stream(IterableDataset):
            def __iter__(stream):
                return iter(self.set)

        return DataLoader(Stream(), batch_size=self.batch)

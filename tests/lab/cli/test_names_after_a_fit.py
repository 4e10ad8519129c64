"""After a fit, a config that the same process reads still finds each class of Lightning and torch by its short name."""

from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.lr_scheduler import OneCycleLR
from toys import Toy, fit, one_cycle_lr

from lightning_prune import IterativePruning


def test_a_name_stands_for_one_class_after_a_fit():
    stopping = EarlyStopping("val_loss")
    trainer = fit([IterativePruning(cycles=1, retrain="1ep"), stopping], Toy(scheduler=one_cycle_lr), max_epochs=1)
    assert type(stopping) is EarlyStopping
    assert "_run_early_stopping_check" not in vars(stopping)
    assert type(trainer.lr_scheduler_configs[0].scheduler) is OneCycleLR
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--one", type=Callback)
    found = parser.parse_object({"one": {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss"}}}).one
    assert found.class_path == "lightning.pytorch.callbacks.EarlyStopping"
    for kind in (EarlyStopping, OneCycleLR):  # a class of the same path would be listed beside it
        assert kind.__qualname__ not in [one.__qualname__ for one in kind.__subclasses__()]

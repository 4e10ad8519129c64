"""A backbone that is unfrozen while it trains."""

import torch
from toys import Toy
from watched import each_step


class Transfer(Toy):
    """All but the last layers are a backbone."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(scheduler=each_step)
        self.backbone = self.net[:5]

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
        return {"optimizer": optimizer, "lr_scheduler": each_step(optimizer, self.trainer)}

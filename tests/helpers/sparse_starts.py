"""A network that is sparse already."""

PRUNABLE = ["net.0.weight", "net.4.weight", "net.7.weight"]


SIZE = 706


def zeros(module):
    return sum(int((module.get_parameter(name) == 0).sum()) for name in PRUNABLE)

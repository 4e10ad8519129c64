"""Put the configs of the repository into the package. Everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

CONFIGS = "lightning_prune.configs"  # in a wheel, a folder of the package; in a checkout, the folder configs/

setup(
    packages=[
        *find_namespace_packages(include=["lightning_prune", "lightning_prune.*"]),
        CONFIGS,
        *(f"{CONFIGS}.{folder}" for folder in find_namespace_packages("configs")),
    ],
    package_dir={CONFIGS: "configs"},
)

"""The pages of variants and papers: every variant has its paper and its config, every config its place, every link a target."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import lightning_prune
from lightning_prune import (
    ACDC,
    SAFE,
    SAM,
    SET,
    BestWeights,
    CrAM,
    DistillFromDense,
    EstimateBatchNorm,
    FlipSigns,
    FreezeLayers,
    Granularity,
    MaskedLoRA,
    NormInterpolation,
    Repair,
    RetrainWhenNeeded,
    RigL,
    ScaledLoRA,
    SignChanges,
    SoftFilterPruning,
    SparsityPenalty,
    TrainOnly,
    Weights,
)
from lightning_prune.callbacks import policies as learning_rate
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.starting_points.base import StartingPoint

ROOT = Path(lightning_prune.__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "configs" / "papers" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
VARIANTS_PAGE = ROOT / "docs" / "variants.md"
PAPERS_PAGE = ROOT / "configs" / "papers" / "README.md"


def rows_of(page):
    return [line for line in page.read_text().splitlines() if line.startswith("| ")]


def links_of(page):
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text())


PUBLIC = [member for member in vars(lightning_prune).values() if inspect.isclass(member)]
POLICIES = [member for member in vars(learning_rate).values() if inspect.isclass(member)]
STARTS = [member for member in PUBLIC if issubclass(member, StartingPoint) and member is not Repair]
UNITS = [member for member in PUBLIC if issubclass(member, Granularity) and member not in (Granularity, Weights)]
VARIANTS = [
    *POLICIES,
    *STARTS,
    *UNITS,
    BestWeights,
    DistillFromDense,
    EstimateBatchNorm,
    FlipSigns,
    FreezeLayers,
    MaskedLoRA,
    NormInterpolation,
    RetrainWhenNeeded,
    ScaledLoRA,
    SignChanges,
    SoftFilterPruning,
    SparsityPenalty,
    TrainOnly,
    SAM,
    CrAM,
    SAFE,
    RigL,
    SET,
    ACDC,
]


def row_of(variant):
    (row,) = [row for row in rows_of(VARIANTS_PAGE) if re.match(rf"\| `{variant.__name__}\b", row)]
    return row


def configs_in(row, page=VARIANTS_PAGE):
    return [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)]+\.yaml)\)", row)]


def class_names(tree):
    if isinstance(tree, dict):
        yield from [str(tree["class_path"]).rpartition(".")[2]] if "class_path" in tree else []
        # A section that holds nothing but a name, such as `policy: LRRewind`.
        yield from [one for key, one in tree.items() if key in ("policy", "start") and isinstance(one, str)]
        # In a study's arms, such as `RetrainWhenNeeded.threshold: 0.01` or a search over it.
        yield from [str(key).partition(".")[0] for key in tree if str(key)[:1].isupper()]
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []:
        yield from class_names(inner)


def test_the_public_variants_are_all_there():
    assert len(STARTS) >= 3
    assert {
        member for member in PUBLIC if issubclass(member, LearningRatePolicy) and not inspect.isabstract(member)
    } == set(POLICIES)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_a_variant_has_its_paper_and_a_config_that_uses_it(variant):
    row, reference = row_of(variant), inspect.getdoc(variant)
    papers = re.findall(r"\]\((https://[^)]+)\)", row)
    assert [paper for paper in papers if paper in reference], "the paper that the class names"
    assert configs_in(row)
    for config in configs_in(row):
        assert variant.__name__ in class_names(yaml.safe_load(config.read_text()))


def test_no_config_of_a_paper_is_left_out_of_its_row():
    for folder in sorted(path for path in (ROOT / "configs" / "papers").iterdir() if path.is_dir()):
        configs = sorted(folder.glob("*.yaml"))
        rows = [row for row in rows_of(PAPERS_PAGE) if configs and configs_in(row, PAPERS_PAGE) == configs]
        assert len(rows) == 1, f"{folder.name} needs a row with its paper and all of its configs"
        assert re.match(r"\| \[[^]]+\]\(https://arxiv\.org/abs/\d+\.\d+\) \|", rows[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_has_a_target(page):
    files = [link for link in links_of(page) if not link.startswith(("http", "#"))]
    assert not [link for link in files if not (page.parent / link.partition("#")[0]).exists()]


def test_a_link_says_what_it_leads_to():
    for page in (VARIANTS_PAGE, PAPERS_PAGE):
        for name, target in re.findall(r"\[([\w-]+)\]\(([^)]+\.yaml)\)", page.read_text()):
            assert Path(target).stem == name

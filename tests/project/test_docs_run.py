"""Every block of code in docs/ runs, here or in the test of its page, or says above itself why it does not."""

import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer

import lightning_prune
from lightning_prune import IterativePruning, OneShot, Shrink, Structures
from lightning_prune.cli import COMMANDS, TRAINER_COMMANDS
from lightning_prune.lab import Classifier, Digits, LeNet300100

ROOT = Path(lightning_prune.__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```", re.M | re.S)

# Pages whose blocks run one after the other in one namespace: what is made smaller, as old and new texts.
SHORTER = [("max_epochs=8", "max_epochs=2"), ('retrain="4ep"', 'retrain="1ep"'), ("seeds=3", "seeds=2"), ("[6]", "[1]")]
HERE = {
    "start/quickstart.md": SHORTER,
    "recipes/prune.md": [],
    "recipes/retrain.md": [],
    "recipes/keep.md": [],
    "recipes/small.md": [],
    "recipes/studies.md": [],
    "deployment/profiling.md": [("rounds=10", "rounds=2")],
}
SLOW = ("start/quickstart.md", "recipes/studies.md")
# What a reader of a recipe would stumble over: a policy that replays nothing, a layer in which nothing is left.
MISLEADING = ("error:.*is what FineTune is", "error:.*no weight alive")
# Pages with a test of their own, which compares results.
ELSEWHERE = {
    "start/starting_points.md": "tests/project/test_readme.py",
    "studies/ablations.md": "tests/project/test_ablations_page.py",
    "regimes.md": "tests/regimes/test_regimes_page.py",
    "deployment/deployment.md": "tests/deployment/test_deployment_page.py",
    "deployment/zeros.md": "tests/deployment/test_sparse_file.py",
    "interoperability.md": "tests/interoperability/test_interoperability_page.py",
}


def blocks(page, language="python"):
    """The code of a page in a language, but for blocks that say why they do not run."""
    found = [match for match in BLOCK.finditer((DOCS / page).read_text()) if match["language"] == language]
    return [match["code"] for match in found if not match["reason"]]


def all_pages():
    return [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]


class MyBlock(torch.nn.Module):
    """A block that reads a size from an attribute."""

    def __init__(self):
        super().__init__()
        self.first, self.width, self.last = torch.nn.Linear(64, 16), 16, torch.nn.Linear(16, 10)

    def forward(self, images):
        return self.last(self.first(images.flatten(1)).relu().view(-1, self.width))


class MyModule(Classifier):
    def __init__(self):
        super().__init__(LeNet300100(inputs=64))


@pytest.fixture
def of_the_reader(tmp_path):
    """What the page of the structures takes as there: a module, data, and checkpoints."""
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "default_root_dir": tmp_path}
    data = Digits(batch_size=256)
    dense = Trainer(max_epochs=1, callbacks=[IterativePruning(cycles=0)], **quiet)
    dense.fit(MyModule(), datamodule=data)
    dense.save_checkpoint(tmp_path / "trained.ckpt")
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=Structures())
    masked = Trainer(max_epochs=1, callbacks=[pruning, Shrink(at="cycles")], **quiet)
    masked.fit(MyModule(), datamodule=data)
    masked.save_checkpoint(tmp_path / "last.ckpt")
    images = torch.rand(2, 1, 8, 8)
    return lambda: {
        "module": MyModule(),
        "dense": MyModule(),
        "images": images,
        "batch": images,
        "data": data,
        "trainer": Trainer(**quiet),
        "MyModule": MyModule,
        "MyBlock": MyBlock,
    }


@pytest.fixture
def as_main(monkeypatch):
    """A namespace in which classes are those of the running program, as in a script."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return vars(module)


@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in HERE])
@pytest.mark.filterwarnings("ignore", *MISLEADING)
def test_the_blocks_of_a_page_run_one_after_the_other(page, as_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "\n".join(blocks(page))
    for old, new in HERE[page]:
        assert old in text, f"{page} no longer says {old!r}"
        text = text.replace(old, new)
    exec(compile(text, page, "exec"), as_main)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_each_block_about_structures_runs(of_the_reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in blocks("structures.md"):
        code = code.replace('"10ep"', '"1ep"').replace("max_epochs=10", "max_epochs=1").replace(".onnx", ".pt2")
        names = of_the_reader() | ({"module": Classifier(MyBlock())} if "MyBlock" in code else {})
        exec(compile(code, "structures.md", "exec"), names)
    assert Path("small.safetensors").is_file()


def test_every_page_with_code_is_run_somewhere():
    with_code = {page for page in all_pages() if blocks(page)}
    assert with_code == {*HERE, *ELSEWHERE, "structures.md"}
    for page, file in ELSEWHERE.items():
        test = (ROOT / file).read_text()
        assert all(f'"{part}"' in test for part in page.split("/")), f"{file} runs the blocks of {page}"


def test_every_yaml_block_can_be_read():
    for page in all_pages():
        for code in blocks(page, "yaml"):
            assert yaml.safe_load(code), page


def test_every_command_and_config_exists():
    for page in all_pages():
        for code in blocks(page, "") + blocks(page, "bash"):
            for line in re.findall(r"^lightning-prune .*$", code, flags=re.M):
                words = shlex.split(line, comments=True)[1:]
                assert words[0] in {**COMMANDS, **TRAINER_COMMANDS}, (page, line)
                for config in (words[place + 1] for place, word in enumerate(words[:-1]) if word == "--config"):
                    known = [ROOT / config, ROOT / "configs" / f"{config}.yaml"]
                    assert config.startswith(("my", "runs/")) or any(map(Path.exists, known)), (page, line)


def test_there_are_twenty_recipes_and_each_is_short():
    recipes = [page for page in all_pages() if page.startswith("recipes/") and page != "recipes/index.md"]
    assert sum(len(re.findall(r"^## ", (DOCS / page).read_text(), flags=re.M)) for page in recipes) >= 20
    for page in recipes:
        assert all(code.count("\n") < 30 for code in blocks(page)), page


def test_a_small_lenet_is_what_the_recipes_say():
    assert [name for name, one in Classifier(LeNet300100(inputs=64)).named_parameters() if one.dim() == 2] == [
        "network.hidden.1.weight",
        "network.hidden.3.weight",
        "network.classifier.weight",
    ]

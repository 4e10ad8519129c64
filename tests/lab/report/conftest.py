import json

import pytest

from lightning_prune.lab.report import vega


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the slow drawing in tests that look at no picture. Specifications are still made."""
    monkeypatch.setattr(vega, "svg_of", lambda spec: json.dumps(spec, allow_nan=False))
    monkeypatch.setattr(vega, "png_of", lambda svg: b"")

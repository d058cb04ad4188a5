"""The public door: what `import batch` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import batch


def test_the_door_is_sorted_and_every_name_opens():
    assert sorted(batch.__all__) == sorted(set(batch.__all__))
    for name in batch.__all__:
        assert getattr(batch, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = batch.Nonsense


def test_opening_the_door_imports_nothing_heavy():
    heavy = "aiohttp PIL rich tenacity uvloop msgspec click".split()
    code = f"import sys, batch; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

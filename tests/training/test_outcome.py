import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "imports_torch"),
    [
        ("import replicate.training, replicate.records.epoch", False),
        ("import replicate.training.outcome", False),
        ("import replicate.training.loop", True),  # the test can fail
    ],
)
def test_only_train_imports_torch(statement: str, imports_torch: bool) -> None:
    code = f"import sys; {statement}; print('torch' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == str(imports_torch)

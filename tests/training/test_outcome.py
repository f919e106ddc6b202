import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statement", "imports_torch"),
    [
        ("from replicate.training import Epoch, Outcome", False),
        ("import replicate.training.outcome", False),
        ("from replicate.training import train", True),  # the test can fail
    ],
)
def test_only_train_imports_torch(statement: str, imports_torch: bool) -> None:
    code = f"import sys; {statement}; print('torch' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == str(imports_torch)


def test_no_other_names() -> None:
    import replicate.training

    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        replicate.training.trian  # noqa: B018

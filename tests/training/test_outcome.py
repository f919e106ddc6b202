import subprocess
import sys

import pytest

STATEMENTS = {
    "import replicate.training, replicate.records.epoch": False,
    "import replicate.training.outcome": False,
    "import replicate.training.loop": True,  # the test can fail
}


@pytest.mark.processes
def test_only_train_imports_torch() -> None:
    code = "".join(f"{line}; print('torch' in sys.modules)\n" for line in STATEMENTS)
    command = [sys.executable, "-c", f"import sys\n{code}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.split() == list(map(str, STATEMENTS.values()))

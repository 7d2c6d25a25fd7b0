"""Print one of the README's two commands, as it stands there: "train" or "test"."""

import re
import sys
from pathlib import Path

ENDS = {"train": "pluggable-mlp train --backend numpy", "test": "pytest -n auto"}

readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
pattern = rf"^python -m pip install .* && {re.escape(ENDS[sys.argv[1]])}$"
(command,) = re.findall(pattern, readme, flags=re.MULTILINE)
print(command)

"""Python runs this at start when its folder is on ``PYTHONPATH``: see ``torchvision_operators``, beside it."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "torchvision_operators.py"))

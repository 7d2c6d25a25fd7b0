"""The rates of torch.optim and scikit-learn, as record_rates.py wrote them."""

import json
from pathlib import Path

RECORDED = json.loads(Path(__file__).with_name("rates.json").read_text(encoding="utf-8"))

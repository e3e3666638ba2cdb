"""The paper's Table 2 held against what was measured: ratio against ratio."""

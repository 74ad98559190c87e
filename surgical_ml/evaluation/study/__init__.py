"""Everything that is computed from evaluated cases: `evaluation.json`, the release gate, and the comparison of two studies."""

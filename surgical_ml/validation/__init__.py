"""What the module must do, what can go wrong, what is done about it, and the evidence that it is so.

An engineering aid: its structure and words follow IEC 62304 and ISO 14971, and certify nothing.
"""

from surgical_ml.validation.items import (
    ITEMS,
    ArchitectureItem,
    Control,
    Hazard,
    Items,
    Need,
    Requirement,
    load_items,
)
from surgical_ml.validation.links import accept_links, suspect_links
from surgical_ml.validation.trace import Evidence, Trace, read_evidence, trace

__all__ = [
    "ITEMS",
    "ArchitectureItem",
    "Control",
    "Evidence",
    "Hazard",
    "Items",
    "Need",
    "Requirement",
    "Trace",
    "accept_links",
    "load_items",
    "read_evidence",
    "suspect_links",
    "trace",
]

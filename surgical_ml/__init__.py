"""Surgical video assistance: watches the endoscope, says where the operation stands and what departs from it."""

__version__ = "0.1.0"

"""A recorded case, run again: the same events through the same software, and every decision compared."""

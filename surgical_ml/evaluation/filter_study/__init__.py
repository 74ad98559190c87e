"""What the phase filter and its gate add to a network's scores, on held-out cases, on interruptions, and in time."""

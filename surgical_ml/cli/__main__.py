"""`python -m surgical_ml.cli`."""

from surgical_ml.cli import main

main()

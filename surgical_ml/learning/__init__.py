"""Data sets, augmentation, nets, training and export. Nothing that runs in the operating room imports this room."""

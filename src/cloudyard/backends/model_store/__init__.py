"""The model files on this machine: where the default ones come from and how they get here."""

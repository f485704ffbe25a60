"""The ``shipfit`` command: one file a command, thin. Heavy imports stand inside the functions that need them."""

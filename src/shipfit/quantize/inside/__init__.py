"""Modules that run inside an engine's environment, where shipfit is not installed: they import nothing of it."""

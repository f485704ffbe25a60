"""Scripts that measure an artifact; they run in other environments, where shipfit is not installed.

A module beside them whose name begins with ``shipfit_`` is imported by them, under that name.
"""

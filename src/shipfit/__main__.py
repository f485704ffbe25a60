"""Lets ``python -m shipfit`` do what the ``shipfit`` command does."""

from shipfit.cli.main import main

if __name__ == "__main__":
    main()

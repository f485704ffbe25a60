"""A new version on a small share of a release's requests: what it is, what it did, and whether it is good."""

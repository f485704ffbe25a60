"""Serving: vLLM replicas and a router on this machine, planned, supervised, measured.

Begin at ``planning`` (a deployment's plan), ``local`` (up, down, status) and ``measured`` (what it takes). Nothing is
imported here: a plan must not wait for an HTTP client that it does not use.
"""

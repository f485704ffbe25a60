"""Serving in a Kubernetes cluster: a plan becomes values of the chart ``llm-serving``, and the rollout is watched.

Begin at ``deploy`` (what would change, and doing it), ``status`` and ``address``. kubectl and Helm are the only ways to
a cluster; what was deployed, and why, is kept in Helm's own release history. Pure are ``values``, ``room``, ``changes``
and ``diagnosis``. ``canary`` tries a new version on some of the requests. Nothing is imported here.
"""

"""The planner: every way to serve a model on what is at hand, and the first by the rule that holds the promise."""

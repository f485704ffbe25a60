"""The memory model: what each GPU of a replica holds, term by term, and what is left for the KV cache."""

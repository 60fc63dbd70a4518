"""Linear probes on the activations of a model that vLLM serves. Runs inside vLLM's processes."""

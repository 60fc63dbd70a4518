"""The gateway: what stands between the callers and vLLM."""

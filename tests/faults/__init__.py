"""Batches under SIGKILL, late requests and opt-outs at every step: real processes, a real org over HTTP, an independent oracle."""

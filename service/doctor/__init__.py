"""What is wrong with an installation, and what to do: checks that change nothing.

Each check gives `Result`s. What is decided from what was seen is in `service/core/perimeter.py` and
`service/core/vllm_flags.py`; here is what looks.
"""

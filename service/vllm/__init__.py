"""A vLLM started as Watchgate wants it: installed, given a model, launched, waited for."""

"""The composition root: Settings → real clock, journals, readers, store, detectors, servers."""

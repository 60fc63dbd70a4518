"""Retraining `lexical` on rows of one's own; docs/retraining.md.

configuration, rows → texts → adapting, calibrating → model, card, report before and after.
"""

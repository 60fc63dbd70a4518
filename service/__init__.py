"""Watchgate: access control and misuse monitoring for deployed open-weight models."""

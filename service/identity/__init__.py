"""Tokens that others sign: issuers of OpenID Connect, and callers for their end users."""

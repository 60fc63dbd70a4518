"""The console: the admin API, for ops and security."""

"""What happened, kept so that it cannot be lost, and read by the workers."""

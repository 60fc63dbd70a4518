"""What Watchgate says of itself: metrics, logs, traces. Never the text of a prompt or an answer."""

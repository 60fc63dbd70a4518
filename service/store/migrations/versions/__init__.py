"""One file a change. What was released is never edited."""

"""Features: events in, named numbers out."""

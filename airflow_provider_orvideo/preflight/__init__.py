"""Is this request possible? Asked before anything is spent."""

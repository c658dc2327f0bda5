"""The pay-once record: what a task instance ordered, kept where retries and clears find it."""

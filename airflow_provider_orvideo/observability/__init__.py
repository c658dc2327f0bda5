"""What the provider tells those who watch it: names, and ways to send that never fail a task."""

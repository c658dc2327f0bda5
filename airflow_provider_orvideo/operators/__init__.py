"""What DAG authors write."""

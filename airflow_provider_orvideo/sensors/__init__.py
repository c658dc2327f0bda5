"""Sensors: wait for a job that somebody else ordered."""

"""Waiting for a job: one set of rules, whoever waits."""

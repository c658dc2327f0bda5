"""Brings a finished video home: download, verify, publish, and only then say so."""

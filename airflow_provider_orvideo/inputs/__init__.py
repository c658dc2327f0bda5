"""Media for a request, from wherever they lie: this machine, object storage, the web."""

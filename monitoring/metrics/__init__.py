"""The same facts as Prometheus metrics."""

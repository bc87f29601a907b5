"""What is counted, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POWERS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Of one server: a registry of its own, so that two of them in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self.requests = Counter("launcher_requests", "Requests by route and status", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "launcher_request_seconds", "From request to answer", ["route"], buckets=SECONDS, registry=own
        )
        self.rows = Counter("launcher_rows", "Rows computed", ["model"], registry=own)
        self.tokens = Counter("launcher_tokens", "Tokens computed, without padding", ["model"], registry=own)
        self.batch = Histogram("launcher_batch_rows", "Rows computed together", ["model"], buckets=POWERS, registry=own)
        self.busy = Counter("launcher_busy_seconds", "Seconds spent computing", ["model"], registry=own)
        self.waiting = Gauge("launcher_waiting_rows", "Rows that wait", ["model"], registry=own)
        self.dropped = Counter(
            "launcher_dropped_rows", "Rows that were not computed", ["model", "reason"], registry=own
        )
        self.connections = Gauge("launcher_connections", "Open connections", registry=own)

    def page(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)

"""Runs as jobs of a cluster: submitting them, and the driver inside a job."""

"""Clusters: the protocol of schedulers, Slurm, what a job may ask for, profiles."""

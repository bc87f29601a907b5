"""What a model takes: traced, bounded, measured."""

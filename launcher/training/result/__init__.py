"""The trained model: saved, proven, used."""

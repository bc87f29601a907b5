"""The trained model: saved, verified, used."""

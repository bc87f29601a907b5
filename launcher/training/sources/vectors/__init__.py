"""Where static vectors come from."""

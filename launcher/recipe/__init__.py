"""The nouns of a recipe: frozen, typed, valid on construction, without behaviour. No heavy imports."""

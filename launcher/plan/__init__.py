"""Gate 2 and the plan: pure functions of recipe, facts and placement."""

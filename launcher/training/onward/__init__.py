"""A run that begins with the model of another one (docs/decisions/042-going-on.md).

weights            what it begins with: that model, with rows for new labels
old_rows           in `prepare`: labels of both, the rows of that run that are trained on again or measured
consolidation      elastic weight consolidation, as a method around the method
"""

"""What whoever always says the same reaches on the rows of a split, and whether a model is better."""

import numpy as np

MARGINS = {
    "ndcg_at_10": 0.3,
    "f1": 0.2,
    "spearman": 0.3,
    "accuracy": 0.1,
    "micro_f1": 0.1,
    "entity_f1": 0.2,
    "token_accuracy": 0.01,
}
"""How much better than the trivial predictor a model must be; of tags nearly all are `O`."""


def trivial(columns, metrics):
    """What the best predictor reaches on these rows that says the same whatever it reads."""
    if "exact_match" in metrics:
        right = columns["columns/right"].tobytes()
        return {"f1": right.count(b"[]") / metrics["examples"]}  # no answer
    if "columns/answers" in columns:
        answers = columns["columns/answers"]
        return {"token_accuracy": float(np.bincount(answers).max() / len(answers))}
    if "ndcg_at_10" in metrics:
        among = np.diff(columns["offsets/lengths"])
        return {"accuracy": float((1 / among).mean())} if "accuracy" in metrics else {"ndcg_at_10": 0.0}  # one vector
    if "spearman" in metrics:
        return {"spearman": 0.0}  # of equal numbers it has no value
    if "columns/said" in columns:
        learnt = columns["columns/input_ids"][columns["columns/said"] > 0]
        return {"token_accuracy": np.bincount(learnt).max() / len(learnt) + 0.1}
    if "perplexity" in metrics:
        counts = np.bincount(columns["columns/input_ids"])
        return {"token_accuracy": float(counts.max() / counts.sum())}
    labels = columns["columns/labels"]
    if "subset_accuracy" in metrics:
        rows = metrics["examples"]
        support = np.sort(labels.reshape(rows, -1).sum(axis=0))[::-1]
        said = rows * np.arange(1, len(support) + 1)
        return {"micro_f1": float((2 * support.cumsum() / (said + support.sum())).max())}
    real = labels[labels >= 0]
    share = float(np.bincount(real).max() / len(real))
    return {"accuracy": share} if "accuracy" in metrics else {"token_accuracy": share, "entity_f1": 0.0}


def beats(metrics, bar):
    """Whether this is better than the trivial predictor in every metric that it has."""
    return all(metrics[name] >= value + MARGINS[name] for name, value in bar.items())

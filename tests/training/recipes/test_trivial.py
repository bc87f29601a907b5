"""The trivial predictor says what is best to say."""

import numpy as np
from trivial import trivial


def test_the_trivial_predictor_says_what_is_best_to_say():
    several = {"columns/labels": np.array([[1, 0], [1, 0], [1, 1], [0, 0]]).reshape(-1)}
    assert trivial(several, {"subset_accuracy": 0, "examples": 4}) == {"micro_f1": 2 * 3 / (4 + 4)}
    assert trivial({"columns/labels": np.array([0, 2, 2, 1])}, {"accuracy": 0}) == {"accuracy": 0.5}
    right = {"columns/right": np.frombuffer(b'["word1"][]["word2", "x"]', np.uint8)}
    assert trivial(right, {"exact_match": 0, "examples": 3}) == {"f1": 1 / 3}
    talks = {"columns/said": np.array([0.0, 1, 1, 0, 1]), "columns/input_ids": np.array([5, 7, 7, 7, 8])}
    assert trivial(talks, {"perplexity": 1.0}) == {"token_accuracy": 2 / 3 + 0.1}
    tags = {"columns/labels": np.array([-100, 0, 0, 3, -100])}
    assert trivial(tags, {"token_accuracy": 0}) == {"token_accuracy": 2 / 3, "entity_f1": 0.0}

"""What the forward pass of `word_places` takes and gives, by name; it imports no torch."""

from __future__ import annotations

WHERE = "answer_at"
"""The input, int64 [rows, places]: where words are said, counted from the end of the padded rows (-1 is the last
position) of what the head reads. Whatever a method puts before a row, it stays true."""
RIGHT = "answers"
"""The input, int64 [rows, places]: the token that is right there, `NONE` where a row has fewer of them."""
NONE = -100
LOSSES, MEANS, HITS, LIKELIEST = "token_losses", "token_means", "token_hits", "token_likeliest"
"""The outputs, float32 [rows, places], 0 where there is no word: -log of the right token's probability; the mean of
-log of every token's, which label smoothing takes; 1 where the right token is the likeliest, and the number of the
likeliest (these two while nothing is trained: else 0 everywhere)."""

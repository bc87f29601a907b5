"""Static vectors: how texts are cut, which tokens get a vector, what encodes them."""

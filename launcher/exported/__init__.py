"""Reading exports: the folders that `launcher export` writes, without torch, transformers or anything else of ours."""

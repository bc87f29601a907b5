"""Parts of models: units that are sharded, layer lists, sparse tables, dropout, recomputation."""

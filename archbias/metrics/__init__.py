"""Numbers about samples: tensors in, one value per seed out; metrics of a whole set say so."""

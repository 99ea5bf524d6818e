"""A user's own package: how bright each pixel is, as a kind of label, in a data source, learned by a head."""

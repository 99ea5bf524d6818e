"""How a network becomes a file for another runtime: the formats, lower precision, and what is checked of a file."""

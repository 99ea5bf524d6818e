"""Reports as HTML pages: each one file, readable without a network and without scripts. Imports no torch."""

"""Objects of a video get identities, and files of such tracks. May import data types and geometry, no network."""

"""Searching for good settings: trials of `vjo-tune`, judged on the validation split."""

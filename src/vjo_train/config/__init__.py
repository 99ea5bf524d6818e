"""Configs: composed, checked, and built into objects.

`values`, `definitions`, `signatures`, `schema`, `rules` and `plugins` import no other room; `compose` and `checks` look
at runs, sources and comparisons; `build` is the only place that makes objects of a config.
"""

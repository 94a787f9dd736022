"""Ratios against the `docker` command and a raw socket, side by side in one run: `bin/bench`.

`benches/` says what is measured, one module each; `contenders` who takes part; `measure` runs one of them and rounds of
all; `figures` makes ratios of what was measured, and `report` a table and a document of those. Beside the figures stand
the goals, in `goals`. Nothing here is imported by the package or by its tests of behaviour.
"""

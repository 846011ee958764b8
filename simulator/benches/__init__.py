"""Measurements, one file each: a function `measure(console) -> dict` of plain numbers.

Must live here: what `laike bench` runs. Must not: assertions; machines are shared, figures are told
as ratios of things run side by side, with medians.
"""

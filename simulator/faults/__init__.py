"""Faults by seed: the real pipeline, rules and sinks' rows in a simulated world that breaks.

Must live here: the world, its faults, its workload, and the auditor that judges what came of it.
Must not: anything the engine imports. `python -m simulator faults` runs it.
"""

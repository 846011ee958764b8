"""Real faults on real processes: workers, Redis, Kafka, ClickHouse and the relay, killed by seed.

Must live here: the workload with its known outcome, the processes, the faults, the audit. Must not:
anything that the engine imports. `python -m simulator kills` runs it.
"""

"""The embedded ClickHouse: the real engine as a process of its own, behind ClickHouse's HTTP.

Must live here: what makes the in-process engine answer like a server. Must not: anything of Laike.
Run it with `python -m sinks.embedded --data DIR`, or from code with `process.start`.

    statement  what a text of SQL asks for      engine   connections, sessions, limits, errors
    answer     what is done with a request      request  what a request says, checked
    output     the bytes of an answer           folder   its lock
    content    compression, both ways           blocks   ClickHouse's own compressed frames
    formats    chunks of a result as one body   server   HTTP; serve  start and end
"""

"""`python -m simulator NAME`: the proofs that are no command of `laike`.

Must live here: their names. Must not: work; each is imported only when it is asked for.
"""

import sys
from importlib import import_module

COMMANDS = {
    "faults": ("simulator.faults.command", "the pipeline in a world that breaks, by seed, audited"),
    "lift": ("simulator.lift", "whether the interval of a rule's lift covers the truth, by seed"),
    "kills": ("simulator.kills.command", "real processes killed under traffic, audited"),
}


def main(arguments: list[str]) -> int:
    """Run the one that is named; 2 with their list when none is."""
    if not arguments or arguments[0] not in COMMANDS:
        told = "\n".join(f"  {name:8} {what}" for name, (_, what) in sorted(COMMANDS.items()))
        asked_for_help = arguments[:1] in (["-h"], ["--help"])
        stream = sys.stdout if asked_for_help else sys.stderr
        stream.write(f"usage: python -m simulator NAME [options]\n{told}\n"
                     "example: python -m simulator faults --seeds 1000\n")  # fmt: skip
        return 0 if asked_for_help else 2
    module, _ = COMMANDS[arguments[0]]
    code: int = import_module(module).main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

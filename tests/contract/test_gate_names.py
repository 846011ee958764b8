"""`laike rules why` tells each gate by its name in the rule language, never by a function's."""

from engine.gates import GATES
from engine.why import NAMES, SILENT


def test_each_gate_has_a_name_or_is_told_otherwise():
    gates = {gate.__name__ for gate in GATES}
    assert gates - SILENT <= NAMES.keys() <= gates

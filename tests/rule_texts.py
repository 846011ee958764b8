"""Rules that more than one test file tells a story of."""

WHICH = """
rule: which
status: live
when: {event: Product Added}
once_per: cart
holdout: 0%
do:
  - bandit:
      within: 2d
      explore: 10%
      arms:
        - {name: told, do: [{notify: {via: push, template: told}}]}
        - {name: nothing, do: []}
"""

GOOD = """
rule: nudge
status: live
when: {event: Product Added}
once_per: cart
do:
  - notify: {via: [push], template: hello}
"""

SPIKE = """
rule: spike
title: 集中投诉
owner: service
status: live
purpose: service
when: {event: Complaint Spiked}
once_per: complaint
do:
  - alert: {to: merchant, template: spike}
"""
_SAID = "{{ complaint.topic }}{% for said in complaint.examples %} {{ said }}{% endfor %}"
SPIKES = {
    "campaigns/spike.yaml": SPIKE,
    "templates/spike.zh.email.j2": _SAID,
    "templates/spike.en.email.j2": _SAID,
}

# The least that a rule is made of, part by part.
LEAST = {
    "rule": "rule: r",
    "when": "when: {event: Product Added}",
    "once_per": "once_per: cart",
    "do": "do:\n  - notify: {via: push, template: hello}",
}

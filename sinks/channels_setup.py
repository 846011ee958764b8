"""Which channel carries what: read once at the start, from `<data>/channels.json` if there is one.

Must live here: that file's form and its check. Must not: sending. Without the file every `via`
goes to the log channel, or to LAIKE_WEBHOOK where that is set. With it:

    {"targets": {"crm": {"url": "https://crm.example/hook", "private": false}},
     "via": {"sms": "crm", "*": "log"}}

`log` is always there, and `webhook` where LAIKE_WEBHOOK is set. LAIKE_WEBHOOK_ALLOW, patterns such
as `*.crm.example`, bounds the hosts that any of them may name. A target's signing secret is in
`<data>/webhook-<target>.secret`, made on first use; the receiver is given the same text.

    ChannelsError   the file cannot work: what, where, and what is allowed
"""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from sinks.addresses import RefusedAddressError
from sinks.channels import Channel, Message
from sinks.logchannel import LogChannel
from sinks.webhook import WebhookChannel

LOG = "log"
ANY = "*"


class ChannelsError(ValueError):
    """channels.json asks for something that cannot be."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook receiver; `private` allows inner addresses, and http on loopback.

    `addresses`: it is told the customer's own e-mail, phone or token as `to`, opened at the send.
    """

    url: str
    private: bool = False
    addresses: bool = False


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: receivers by name, and which `via` goes to which of them."""

    targets: dict[str, Target] = {}
    via: dict[str, str] = {}

    def tells_addresses(self, name: str) -> bool:
        """Whether the channel of this name is told where a customer can be reached."""
        return name in self.targets and self.targets[name].addresses

    def target_of(self, via: str) -> str:
        """The name of the channel that carries this `via`.

        >>> Plan(via={"sms": "crm", "*": "log"}).target_of("push")
        'log'
        """
        return self.via.get(via, self.via.get(ANY, LOG))


def read_plan(data: Path, webhook: str = "") -> Plan:
    """The plan of the folder `data`; `webhook` is LAIKE_WEBHOOK."""
    file = data / "channels.json"
    plan = Plan(via={ANY: "webhook"} if webhook else {})
    if file.exists():
        try:
            plan = msgspec.json.decode(file.read_bytes(), type=Plan)
        except msgspec.DecodeError as wrong:
            raise ChannelsError(f"{file}: {wrong}") from None
    if webhook:
        plan = Plan({"webhook": Target(webhook), **plan.targets}, plan.via)
    known = {LOG, *plan.targets}
    for via, target in plan.via.items():
        if target not in known:
            allowed = ", ".join(sorted(known))
            raise ChannelsError(f"{file}: via {via!r} goes to {target!r}; known are {allowed}")
    return plan


def open_channels(
    data: Path, plan: Plan, allow: str = ""
) -> dict[str, tuple[Channel, Callable[[Message], bool]]]:
    """The channels that something goes to, each with the question which messages are its own.

    `allow` is LAIKE_WEBHOOK_ALLOW; empty: the plan's own hosts.
    """
    used = {LOG, *plan.via.values()} if ANY not in plan.via else set(plan.via.values())
    hosts = [pattern for pattern in allow.replace(",", " ").split() if pattern]
    return {name: (_open(name, data, plan, hosts), _wants(name, plan)) for name in sorted(used)}


def _open(name: str, data: Path, plan: Plan, hosts: list[str]) -> Channel:
    if name == LOG:
        return LogChannel(data / "sent.jsonl")
    target = plan.targets[name]
    secret = _secret(data / f"webhook-{name}.secret")
    try:
        return WebhookChannel(target.url, secret, private=target.private, allow=hosts)
    except RefusedAddressError as refused:
        raise ChannelsError(f"channel {name!r}: {refused}") from refused


def _wants(name: str, plan: Plan) -> Callable[[Message], bool]:
    return lambda message: plan.target_of(message.via) == name


def _secret(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        file.write(secret + "\n")
    return secret

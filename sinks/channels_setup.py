"""Which channel carries what: read once at the start, from `<data>/channels.json` if there is one.

Must live here: that file's form and its check. Must not: sending. Without the file every `via`
goes to the log channel, or to LAIKE_WEBHOOK where that is set. With it:

    {"targets": {
       "crm":  {"url": "https://crm.example/hook", "private": false, "addresses": false},
       "mail": {"kind": "smtp", "host": "smtp.example", "port": 587, "tls": "starttls",
                "user": "shop", "password_file": "smtp.secret", "from": "hello@shop.example"},
       "sms":  {"kind": "apprise", "url_file": "sms.url"}},
     "via": {"email": "mail", "sms": "sms", "wechat": "crm", "*": "log"}}

`log` is always there, and `webhook` where LAIKE_WEBHOOK is set. LAIKE_WEBHOOK_ALLOW, patterns such
as `*.crm.example`, bounds the hosts that any of them may name. A webhook's signing secret is in
`<data>/webhook-<target>.secret`, made on first use; the receiver is given the same text. Files
with a password or a URL are the operator's, in `<data>` unless their path is absolute.

    ChannelsError   the file cannot work: what, where, and what is allowed
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.errors import MessageError
from pathlib import Path
from typing import Literal, assert_never

import msgspec

from sinks.addresses import RefusedAddressError
from sinks.channels import Channel, Message
from sinks.logchannel import LogChannel
from sinks.notifier import Apprise, AppriseChannel
from sinks.smtp import Smtp, SmtpChannel
from sinks.webhook import WebhookChannel

LOG = "log"
ANY = "*"


class ChannelsError(ValueError):
    """channels.json asks for something that cannot be."""


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook receiver; `private` allows inner addresses, and http on loopback.

    `addresses`: it is told the customer's own e-mail, phone or token as `to`, opened at the send.
    """

    url: str
    kind: Literal["webhook"] = "webhook"
    private: bool = False
    addresses: bool = False


Target = Webhook | Smtp | Apprise
KINDS: dict[str, type[Target]] = {"webhook": Webhook, "smtp": Smtp, "apprise": Apprise}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    targets: dict[str, msgspec.Raw] = {}
    via: dict[str, str] = {}


class _Kind(msgspec.Struct):
    kind: str = "webhook"


@dataclass(frozen=True)
class Plan:
    """The file: receivers by name, and which `via` goes to which of them."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    via: Mapping[str, str] = field(default_factory=dict)

    def tells_addresses(self, name: str) -> bool:
        """Whether the channel of this name is told where a customer can be reached."""
        target = self.targets.get(name)
        return target is not None and (not isinstance(target, Webhook) or target.addresses)

    def target_of(self, via: str) -> str:
        """The name of the channel that carries this `via`: the whole, its first word, or any.

        >>> plan = Plan(via={"alert:merchant": "crm", "alert": "ops", "*": "log"})
        >>> [plan.target_of(via) for via in ("alert:merchant", "alert:vip", "push")]
        ['crm', 'ops', 'log']
        """
        asked = (via, via.partition(":")[0], ANY)
        return next((self.via[name] for name in asked if name in self.via), LOG)


def read_plan(data: Path, webhook: str = "") -> Plan:
    """The plan of the folder `data`; `webhook` is LAIKE_WEBHOOK."""
    file = data / "channels.json"
    plan = Plan(via={ANY: "webhook"} if webhook else {})
    if file.exists():
        try:
            told = msgspec.json.decode(file.read_bytes(), type=_File)
        except msgspec.DecodeError as wrong:
            raise ChannelsError(f"{file}: {wrong}") from None
        plan = Plan(
            {name: _target(raw, name, file) for name, raw in told.targets.items()}, told.via
        )
    if webhook:
        plan = Plan({"webhook": Webhook(webhook), **plan.targets}, plan.via)
    known = {LOG, *plan.targets}
    for via, target in plan.via.items():
        if target not in known:
            allowed = ", ".join(sorted(known))
            raise ChannelsError(f"{file}: via {via!r} goes to {target!r}; known are {allowed}")
    return plan


def _target(raw: msgspec.Raw, name: str, file: Path) -> Target:
    try:
        kind = msgspec.json.decode(raw, type=_Kind).kind
        if kind not in KINDS:
            allowed = ", ".join(KINDS)
            raise ChannelsError(f"{file}: target {name!r} is of kind {kind!r}; known are {allowed}")
        return msgspec.json.decode(raw, type=KINDS[kind])
    except msgspec.DecodeError as wrong:
        raise ChannelsError(f"{file}: target {name!r}: {wrong}") from None


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
    try:
        return _opened(name, plan.targets[name], data, tuple(hosts))
    except (RefusedAddressError, OSError, MessageError, ValueError) as refused:
        raise ChannelsError(f"channel {name!r}: {refused}") from refused


def _opened(name: str, target: Target, data: Path, allow: tuple[str, ...]) -> Channel:
    match target:
        case Webhook():
            secret = _secret(data / f"webhook-{name}.secret")
            return WebhookChannel(target.url, secret, private=target.private, allow=allow)
        case Smtp():
            password = (data / target.password_file).read_text().strip() if target.user else ""
            return SmtpChannel(target, password, allow)
        case Apprise():
            url = (data / target.url_file).read_text().strip()
            return AppriseChannel(url, private=target.private, allow=allow)
        case _:
            assert_never(target)


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

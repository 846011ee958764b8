"""Schemathesis on the OpenAPI document of the running API: no 5xx, and nothing it does not tell of.

The API is a process of its own on a real Redis. SCHEMATHESIS_EXAMPLES=2000 runs longer, so many
examples an operation, half of them made to break the document's form.
"""

import os
import subprocess
import sys
import time

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.access.accounts import Accounts
from api.access.roles import Role
from api.cli_parts import put_in_place
from api.preflight import any_port
from api.sources import ensure_sources
from engine.logs.redis_server import die_with_parent
from engine.settings import Settings, make_secret
from tests.fixtures_workers import ROOT
from tests.patience import SECONDS

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "6"))
PASSWORD = "correct horse battery"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def api(redis_empty, clickhouse_database, tmp_path):
    """The running API: its address, a server's write key, an admin's token, what it logged."""
    settings = Settings(
        data=tmp_path,
        secret=make_secret(tmp_path / "secret"),
        log=redis_empty.url,
        redis=redis_empty.url,
        clickhouse=clickhouse_database,
        port=any_port(),
        rules=ROOT / "rules",
        shards=4,
    )
    put_in_place(settings)
    with redis_empty.client() as store:
        accounts = Accounts(store, settings.secret)
        accounts.add("cli:test", "admin", Role.admin, PASSWORD)
        token = accounts.create_token("cli:test", "admin", "t", Role.admin, 1)
        key = ensure_sources(tmp_path)["server"]
        log = tmp_path / "api.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "api", "--no-background"],
                env=os.environ | settings.environment(), stdout=out, stderr=out, cwd=ROOT,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        url = f"http://127.0.0.1:{settings.port}"
        try:
            wait_ready(url, process, log)
            yield url, key, token, log, store
        finally:
            process.terminate()
            process.wait(SECONDS)


def wait_ready(url, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_no_call_of_the_document_breaks_the_api(api, capsys):
    url, key, token, log, store = api
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    cases, failed = {}, []
    for found in document.get_all_operations():
        operation = found.ok()
        ingest = "ingest" in operation.definition.raw.get("tags", [])
        who = {"auth": (key, "")} if ingest else {"headers": {"Authorization": f"Bearer {token}"}}
        try:
            cases[operation.label] = tried(operation, who, store)
        except FailureGroup as wrong:  # every operation is tried before any is told
            failed += [f"{operation.label}: {one!r} {one}" for one in wrong.exceptions]
    assert not failed, "\n\n".join(failed)
    with capsys.disabled():
        sys.stdout.write(f"\n{sum(cases.values())} cases, {len(cases)} operations\n")
    assert {"POST /v1/login", "POST /v1/batch", "GET /v1/audit", "GET /readyz"} <= set(cases)
    assert min(cases.values()) > 0
    told = log.read_text()
    assert not any(text in told for text in ("Traceback", key, token, PASSWORD))


def tried(operation, who, store):
    count = 0
    modes = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(modes)
    def run(case):
        nonlocal count
        count += 1
        for tries in store.scan_iter("laike:access:tries*"):
            store.delete(tries)
        response = case.call(**who)
        case.validate_response(response, checks=CHECKS)

    run()
    return count

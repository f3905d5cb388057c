"""Over HTTP: reports and entries that are signed, and what was done to a ledger, in its list."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("model_signing", reason="the extra `signing` is not installed")

from audit import Report
from audit.attestation import Attestation
from audit.envelope import Envelope
from audit.render import SIGNED, formats
from service.ledger import check_ledger, open_ledger
from service.settings import ConfigurationError
from service.signatures import open_signer
from service.signatures.keys import trust_key
from tests.service.processes import NPY, npy
from tests.service.signing import Key, make_authority, refused_elsewhere

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

AUDIT = "/models/turning/audit"
ENVELOPE = "application/vnd.in-toto.test-result+dsse"


@pytest.fixture
async def signing(
    open_client: Any, repository: Path, tmp_path: Path, ours: Key
) -> AsyncIterator[httpx.AsyncClient]:
    options = {"ledger": str(tmp_path), "threads": 1, "proof": "off", "signing_key": ours.private}
    async with open_client(repository, **options) as client:
        yield client


@pytest.fixture(scope="module")
def few(images: Any) -> bytes:
    return npy(images[:5])


async def audit(client: httpx.AsyncClient, few: bytes, query: str = "", **headers: str) -> Any:
    return await client.post(f"{AUDIT}?{query}", content=few, headers=NPY | headers)


async def faults(client: httpx.AsyncClient) -> list[str]:
    listed = await client.get("/audits")
    assert listed.status_code == 200
    found: list[str] = listed.json()["faults"]
    return found


# --- signed -----------------------------------------------------------------------------------


async def test_openapi_names_the_signed_format_where_there_is_a_key(
    signing: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    for asked, there in ((signing, True), (client, False)):
        paths = (await asked.get("/openapi.json")).json()["paths"]
        for path, method in (
            ("/models/{name}/audit", "post"),
            ("/audits/{digest}", "get"),
            ("/audits/jobs/{job}/report", "get"),
        ):
            answer = paths[path][method]["responses"]["200"]["content"]
            assert (ENVELOPE in answer) == there, path


@pytest.mark.parametrize("by", ["format", "Accept", "ledger", "job"])
async def test_a_report_comes_signed(
    signing: httpx.AsyncClient, few: bytes, ours: Key, theirs: Key, by: str
) -> None:
    plain = await audit(signing, few)
    assert plain.headers["Content-Type"] == "application/json"
    path = plain.headers["Content-Location"]
    if by == "ledger":
        answer = await signing.get(path, params={"format": SIGNED})
    elif by == "job":
        started = await audit(signing, few, Prefer="respond-async")
        job = signing.app.state.job_queue.find(started.json()["id"])
        await job.wait()
        answer = await signing.get(
            f"{started.headers['Location']}/report", params={"format": SIGNED}
        )
    else:
        asked = {"query": f"format={SIGNED}"} if by == "format" else {"Accept": ENVELOPE}
        answer = await audit(signing, few, **asked)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == ENVELOPE
    assert not refused_elsewhere(answer.content, ours.public_key)
    assert refused_elsewhere(answer.content, theirs.public_key)
    said = Attestation.read(Envelope.parse(answer.json()))
    said.check_report(plain.json())
    assert said.report_sha256 == path.rpartition("/")[2]


async def test_entries_are_signed_too(
    signing: httpx.AsyncClient, few: bytes, ours: Key, tmp_path: Path
) -> None:
    await audit(signing, few)
    (entry,) = (await signing.get("/audits")).json()["audits"]
    assert entry["signature"]["sig"]
    found = check_ledger(open_ledger(str(tmp_path)), trust=trust_key(ours.public))
    assert (found.signed, found.faults) == (1, ())


async def test_a_service_without_a_key_signs_nothing(client: httpx.AsyncClient, few: bytes) -> None:
    refused = await audit(client, few, f"format={SIGNED}")
    assert refused.status_code == 406
    assert "ORBITSERVE_SIGNING_KEY names a key" in refused.json()["error"]
    assert (await audit(client, few, Accept=ENVELOPE)).status_code == 406


async def test_a_key_that_cannot_be_used_is_no_start(
    open_client: Any, repository: Path, keys: Path, ours: Key, theirs: Key
) -> None:
    certificate = keys / "signer.crt"
    certificate.write_bytes(make_authority(keys, "root").sign("signer", theirs.public_key))
    for options, said in (
        ({"signing_key": keys / "absent.pem"}, "ORBITSERVE_SIGNING_KEY: .*absent.pem"),
        ({"signing_key": ours.public}, "ORBITSERVE_SIGNING_KEY: .*private key"),
        ({"signing_certificate": certificate}, "without the key"),
        ({"signing_key": ours.private, "signing_certificate": certificate}, "not of this key"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            async with open_client(repository, **options):
                pass


# --- what was done to a ledger ----------------------------------------------------------------


async def test_a_report_that_was_deleted_is_told_and_the_others_are_shown(
    signing: httpx.AsyncClient, few: bytes, images: Any, tmp_path: Path
) -> None:
    gone = (await audit(signing, few)).headers["Content-Location"]
    kept = (await audit(signing, npy(images[:6]))).headers["Content-Location"]
    digest = gone.rpartition("/")[2]
    (tmp_path / "reports" / f"{digest}.json").unlink()
    assert await faults(signing) == [f"The report of entry 1 is missing: {digest}."]
    for form in ("json", "html", SIGNED):
        refused = await signing.get(gone, params={"format": form})
        assert refused.status_code == 500
        assert "was taken out of the ledger" in refused.json()["error"]
        assert (await signing.get(kept, params={"format": form})).status_code == 200
    # The same evidence, stored again, is the same report.
    await audit(signing, few)
    assert await faults(signing) == []


async def test_an_entry_that_nobody_trusted_signed_is_told(
    signing: httpx.AsyncClient, few: bytes, theirs: Key, tmp_path: Path
) -> None:
    answer = await audit(signing, few)
    report = json.loads(answer.content)
    assert report["verdict"] != "PASS"
    open_ledger(str(tmp_path), open_signer(theirs.private)).append(
        Report.model_validate(report | {"verdict": "PASS", "orbit_verdict": "PASS"})
    )
    (fault,) = await faults(signing)
    assert fault.startswith("The signature of entry 2 does not verify")


def test_the_forms_with_a_key_are_one_more(ours: Key) -> None:
    forms = formats(open_signer(ours.private))
    assert forms[SIGNED].media_type == ENVELOPE
    assert len({form.suffix for form in forms.values()}) == len(forms)


async def test_what_somebody_put_into_the_ledger_is_not_signed(
    signing: httpx.AsyncClient, few: bytes, theirs: Key, tmp_path: Path
) -> None:
    report = Report.model_validate((await audit(signing, few)).json())
    for signer in (None, open_signer(theirs.private)):
        forged = report.model_copy(update={"verdict": "PASS", "orbit_verdict": "PASS"})
        entry = open_ledger(str(tmp_path), signer).append(forged)
        address = f"/audits/{entry.report}"
        refused = await signing.get(address, params={"format": SIGNED})
        assert refused.status_code == 406
        assert "No entry" in refused.json()["error"]
        assert (await signing.get(address, params={"format": "html"})).status_code == 200


async def test_a_report_is_signed_as_a_trusted_entry_says_that_it_was_asked_for(
    signing: httpx.AsyncClient, few: bytes, tmp_path: Path
) -> None:
    plain = await audit(signing, few)
    report = Report.model_validate(plain.json())
    other = report.model_copy(update={"replay": "orbitserve audit another"})
    open_ledger(str(tmp_path)).append(other)
    path = plain.headers["Content-Location"]
    answer = await signing.get(path, params={"format": SIGNED})
    Attestation.read(Envelope.parse(answer.json())).check_report(plain.json())

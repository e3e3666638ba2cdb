"""The paper's claims, worked out by hand from its Table 2, and their answers from made-up records."""

from __future__ import annotations

from collections.abc import Mapping

from paper_records import paper_run

from validation.report.neighbours.claims import claims_of
from validation.report.rows import Agreement, PaperClaim

EDGEVITS = {"EdgeViT-XXS": 10.0, "EdgeViT-XS": 16.0, "EdgeViT-S": 26.0}


def answers(latencies_ms: Mapping[str, float], missing: Mapping[str, tuple[str, ...]] = {}) -> dict[str, PaperClaim]:
    runs = {model: paper_run(model, latency) for model, latency in latencies_ms.items()}
    return {claim.text: claim for claim in claims_of(runs, missing)}


def test_the_claims_are_those_of_the_printed_table() -> None:
    found = answers({})
    orders = [text for text, claim in found.items() if claim.reported is not None]
    assert orders == [
        "EdgeViT-XXS is as fast as MobileNet-v2",
        "EdgeViT-XXS is slower than MobileNet-v3-0.75",
        "EdgeViT-XXS is faster than EfficientNet-B0",
        "EdgeViT-XXS is faster than MobileViT-XXS",
        "EdgeViT-XXS is slower than PVT-v2-B0",
        "EdgeViT-XXS is faster than Uniformer-Tiny*",
        "EdgeViT-XXS is faster than Twins-SVT-Tiny*",
        "EdgeViT-XS is slower than T2T-ViT-7",
        "EdgeViT-XS is faster than MobileViT-XS",
        "EdgeViT-XS is slower than DeiT-Tiny",
        "EdgeViT-XS is faster than TNT-Tiny",
        "EdgeViT-S is slower than T2T-ViT-12",
        "EdgeViT-S is slower than PVT-v2-B1",
        "EdgeViT-S is faster than MobileViT-S",
        "EdgeViT-S is slower than LeViT-384†",
    ]
    assert found["EdgeViT-XXS is faster than EfficientNet-B0"].top1_points == -2.7
    assert found["EdgeViT-S is slower than LeViT-384†"].top1_points == 1.5
    assert {claim.agreement for claim in found.values()} == {Agreement.UNMEASURED}


def test_orders_here() -> None:
    found = answers(
        {
            **EDGEVITS,
            "MobileNet-v2": 5.2,
            "MobileViT-XXS": 9.0,
            "PVT-v2-B0": 8.0,
            "LeViT-384†": 34.0,
            "MobileViT-S": 33.0,
        },
        {"T2T-ViT-7": ("not in timm",)},
    )
    verdicts = {text.partition(" is ")[2]: claim.agreement for text, claim in found.items()}
    assert verdicts["as fast as MobileNet-v2"] is Agreement.FAILS
    assert verdicts["faster than MobileViT-XXS"] is Agreement.FAILS
    assert verdicts["slower than PVT-v2-B0"] is Agreement.HOLDS
    assert verdicts["slower than LeViT-384†"] is Agreement.FAILS
    assert verdicts["faster than MobileViT-S"] is Agreement.HOLDS
    assert verdicts["slower than T2T-ViT-7"] is Agreement.UNMEASURED
    claim = found["EdgeViT-XS is slower than T2T-ViT-7"]
    assert claim.reasons == ("T2T-ViT-7: not in timm",)


def front(latencies_ms: Mapping[str, float], model: str = "EdgeViT-XXS") -> PaperClaim:
    claims = answers(latencies_ms)
    return next(claim for text, claim in claims.items() if text.startswith(f"none as accurate as {model} "))


def test_a_network_as_accurate_and_faster_takes_an_edgevit_off_the_front() -> None:
    """EfficientNet-B0 is reported with 77.1 against XXS's 74.4, MobileNet-v2 with 72.0."""
    lost = front({**EDGEVITS, "EfficientNet-B0": 9.0, "MobileNet-v2": 5.0})
    assert lost.agreement is Agreement.FAILS
    assert lost.reasons[0] == "3 of 8 as accurate were measured"
    assert [reason.partition(" is ")[0] for reason in lost.reasons[1:]] == ["EfficientNet-B0"]
    kept = front({**EDGEVITS, "EfficientNet-B0": 11.0, "MobileNet-v2": 5.0})
    assert (kept.agreement, kept.reasons) == (Agreement.HOLDS, ("3 of 8 as accurate were measured",))
    open_ = front({**EDGEVITS, "EfficientNet-B0": 10.0, "MobileNet-v2": 5.0})
    assert open_.agreement is Agreement.UNDECIDED
    assert front({"EfficientNet-B0": 9.0}).agreement is Agreement.UNMEASURED


def test_each_edgevit_but_the_most_accurate_of_all_has_a_front() -> None:
    fronts = [text for text in answers({}) if text.startswith("none")]
    assert [text.partition(" is faster")[0] for text in fronts] == [
        "none as accurate as EdgeViT-XXS",
        "none as accurate as EdgeViT-XS",
    ]
    lost = front({**EDGEVITS, "PVT-v2-B1": 15.0}, "EdgeViT-XS")
    assert lost.agreement is Agreement.FAILS
    assert lost.reasons[0].startswith("2 of 4 ")

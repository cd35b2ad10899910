"""What a study's claims come to: by difference, by equivalence, and how many seeds would decide."""

import json
import math
from pathlib import Path

import pytest
from fake_runs import Make, maker, unfinished

from etude.base.errors import UserError
from etude.report.arms import group
from etude.report.claims import Rule, conclusion, judge, needed, read_claim, told
from etude.report.read import read
from etude.report.results import compare
from etude.report.statistics import Difference

ARMS = {"0.1": "low", "0.2": "high"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def study(make: Make, tmp_path: Path, low: list[float], high: list[float], **plan: object):
    """Two arms with a result a seed, and a plan that claims something of them."""
    runs: dict[str, object] = {}
    for rate, values in (("0.1", low), ("0.2", high)):
        for seed, value in enumerate(values):
            final = {"epoch": 2, "test_accuracy": value, "train_accuracy": value}
            folder = make(rate, seed, value, final=final)
            runs[folder.name] = {"arm": ARMS[rate], "seed": seed}
    content = {
        "study": "rates", "question": "?", "claim": "", "source": "", "baseline": "low",
        "metric": "test_accuracy", "axes": ["rate"], "arms": {"low": ["low"], "high": ["high"]},
        "command": [], "runs": runs, "margin": 0.01, "reach": None, "claims": [], "tuned": {},
    }  # fmt: skip
    (tmp_path / "runs" / "study.json").write_text(json.dumps(content | plan))
    return compare(group(read([tmp_path / "runs"])), metric="final.test_accuracy")


@pytest.mark.parametrize(
    ("high", "words"),
    [
        # surely better, by more than the margin
        ([0.95, 0.952, 0.951, 0.949, 0.953], ["supported", "refuted", "refuted"]),
        # equal within it
        ([0.9001, 0.9003, 0.8996, 0.9002, 0.8999], ["refuted", "refuted", "supported"]),
        # anything is possible
        ([0.93, 0.87, 0.91, 0.90, 0.95], ["undecided", "undecided", "undecided"]),
    ],
)
def test_a_claim_ends_in_one_of_three_words(
    make: Make, tmp_path: Path, high: list[float], words: list[str]
):
    claims = ["high > low", "low > high", "high = low"]
    found = study(make, tmp_path, [0.9, 0.9004, 0.8995, 0.9, 0.9], high, claims=claims)
    judged = judge(found)
    assert [one.word for one in judged] == words
    assert told(found)[0].kind == conclusion(judged)
    assert all((one.more or 0) == 0 for one in judged if one.word != "undecided")
    assert all(one.more is None or one.more > 0 for one in judged if one.word == "undecided")


def test_a_study_is_supported_if_all_claims_are_and_refuted_if_one_is(make: Make, tmp_path: Path):
    high = [0.95, 0.952, 0.951, 0.949, 0.953]
    low = [0.9, 0.901, 0.899, 0.9, 0.9]
    found = study(make, tmp_path, low, high, claims=["high > low"])
    assert conclusion(judge(found)) == "supported"
    assert "claim is supported: 1 supported, 0 refuted, 0 undecided, δ = 1.0 points" in (
        told(found)[0].text
    )


def test_the_seeds_that_are_needed_are_the_fewest_that_decide():
    claim = read_claim("a > b", ["a", "b"])
    seeds = needed(0.01, 0.02, claim, Rule(0.005, 1), 5)
    assert seeds is not None

    def low(count: int) -> float:
        interval = Difference(0.01, "", None, 0.02 / math.sqrt(count), count - 1).interval(0.9)
        assert interval is not None
        return interval[0]

    assert low(seeds) > 0 >= low(seeds - 1)
    assert needed(0.01, 0.02, read_claim("a = b", ["a", "b"]), Rule(0.01, 1), 5) is None


def test_where_a_study_asks_how_soon_claims_are_about_epochs(make: Make, tmp_path: Path):
    study(
        make, tmp_path, [0.9] * 3, [0.9] * 3,
        metric="train_accuracy", reach=0.6, claims=["high > low", "high > 2 * low"], margin=1,
    )  # fmt: skip
    for path in (tmp_path / "runs").glob("rate=0.2*/metrics.jsonl"):
        late = 3 if "seed=1" in str(path) else 4
        rows = [{"epoch": n, "train_loss": 1.0, "train_accuracy": 0.7 if n > late else 0.1}
                for n in range(1, 7)]  # fmt: skip
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arms = group(read([tmp_path / "runs"]))
    found = compare(arms, metric="final.train_accuracy")
    sooner, twice = judge(found)  # low reaches it in epoch 2
    assert [sooner.word, twice.word] == ["supported", "undecided"]
    assert sooner.found is not None
    assert sooner.found.mean == pytest.approx(8 / 3)
    assert "more seed" in told(found)[2].text


@pytest.mark.parametrize(
    ("late", "words"), [(4, ["supported", "refuted"]), (1, ["refuted", "refuted"])]
)
def test_epochs_that_are_all_alike_spread_as_whole_numbers_do(
    make: Make, tmp_path: Path, late: int, words: list[str]
):
    study(
        make, tmp_path, [0.9] * 5, [0.9] * 5,
        metric="train_accuracy", reach=0.6, claims=["high > low", "high > 2 * low"], margin=1,
    )  # fmt: skip
    for path in (tmp_path / "runs").glob("rate=*/metrics.jsonl"):
        reached = late if "rate=0.2" in str(path) else 2
        rows = [{"epoch": n, "train_loss": 1.0, "train_accuracy": 0.7 if n >= reached else 0.1}
                for n in range(1, 7)]  # fmt: skip
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = judge(compare(group(read([tmp_path / "runs"])), metric="final.train_accuracy"))
    assert [one.word for one in judged] == words
    assert judged[0].found is not None
    assert judged[0].found.error == pytest.approx(math.sqrt(1 / 6 / 5))
    assert judged[0].interval is not None


def test_runs_that_diverged_count_as_guessing(make: Make, tmp_path: Path):
    low = [0.5, 0.52, 0.51]
    study(make, tmp_path, low, low, claims=["low > high"])
    for path in (tmp_path / "runs").glob("rate=*"):
        confusion = {"classes": ["a", "b"], "counts": [[6, 4], [5, 5]]}
        (path / "confusion.json").write_text(json.dumps(confusion))
    for path in (tmp_path / "runs").glob("rate=0.2*/summary.json"):
        ended = unfinished("failed", error="Diverged: the loss became nan")
        path.write_text(json.dumps(json.loads(path.read_text()) | ended))
    found = compare(group(read([tmp_path / "runs"])), metric="final.test_accuracy")
    (one,) = judge(found)
    assert one.found is not None
    assert one.found.mean == pytest.approx(0.01)  # two classes of equal size: guessing gives 0.5


def test_what_was_tuned_is_told(make: Make, tmp_path: Path):
    tuned = {"low": "optimizer.lr=0.1 of optimizer.lr=0.1,0.3"}
    found = study(
        make, tmp_path, [0.9, 0.8], [0.9, 0.7], claims=["high = low"], tuned=tuned
    )  # fmt: skip
    assert told(found)[-1].text.endswith(f"with another seed: “low” {tuned['low']}.")


@pytest.mark.parametrize("text", ["high beats low", "high > lower", "> low"])
def test_a_claim_that_is_none_is_refused(text: str):
    with pytest.raises(UserError, match="claims: "):
        read_claim(text, ["low", "high"])

"""From folders to arms to what they came to, on folders made by hand."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from fake_runs import Make, maker, unfinished
from scipy import stats

from etude.base.errors import UserError
from etude.report.answer import answer
from etude.report.arms import group, where
from etude.report.read import read
from etude.report.references import figures
from etude.report.results import ArmResults, Results, compare
from etude.report.table import remarks
from etude.report.tested import chance
from etude.report.verdicts import verdict
from etude.report.words import WHY
from etude.report.write import make as make_report
from etude.runs.claim import claimed
from etude.runs.state import RunState


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def results(tmp_path: Path, baseline: str | None = None) -> Results:
    return compare(group(read([tmp_path])), baseline=baseline)


def rows(tmp_path: Path, baseline: str | None = None) -> dict[str, ArmResults]:
    return {row.label: row for row in results(tmp_path, baseline).rows}


def text(found: Results) -> str:
    return "\n".join(sentence.text for sentence in answer(found))


def fill(make: Make, **arms: list[float]) -> None:
    for arm, values in arms.items():
        for seed, value in enumerate(values):
            make(arm.removeprefix("lr").replace("_", "."), seed, value)


def plan(tmp_path: Path, runs: dict[str, tuple[str, int]], **others: object) -> None:
    content = {
        "study": "rates", "question": "Which rate?", "claim": "The lower.", "source": "here",
        "baseline": "low", "axes": ["rate"], "arms": {"low": ["low"], "high": ["high"]},
        "command": ["etude", "study=rates"],
        "runs": {name: {"arm": arm, "seed": seed} for name, (arm, seed) in runs.items()},
    }  # fmt: skip
    (tmp_path / "runs" / "study.json").write_text(json.dumps(content | others))


def test_an_arm_whose_batches_were_in_unlike_parts_says_so(make: Make, tmp_path: Path):
    for seed, parts in enumerate([{}, {"accumulate": 1}, {"accumulate": 2}]):  # one from earlier
        make("0.1", seed, 0.9, **parts)
        make("0.2", seed, 0.9, **({} if seed == 2 else parts))
    found = rows(tmp_path)
    assert "accumulate 1 and 2 mixed" in found["lr=0.1"].warnings
    assert not [w for w in found["lr=0.2"].warnings if "mixed" in w]


def test_the_median_of_two_runs_is_between_them(make: Make, tmp_path: Path):
    make("0.1", 0, 0.9, seconds=10.0)
    make("0.1", 1, 0.9, seconds=20.0)
    (row,) = rows(tmp_path).values()
    assert row.median("seconds") == 15.0


def test_runs_that_differ_in_their_seed_alone_are_one_arm(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8], lr0_01=[0.7, 0.6])
    found = rows(tmp_path)
    assert list(found) == ["lr=0.01", "lr=0.1"]
    assert [run.seed for run in found["lr=0.1"].arm.runs] == [0, 1]


def test_arms_are_compared_with_the_best_where_no_baseline_is_named(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8, 0.85], lr0_01=[0.7, 0.65, 0.5], lr1=[0.1, 0.2, 0.5])
    found = results(tmp_path)
    assert (found.baseline, found.chosen) == ("lr=0.1", False)
    by_label = {row.label: row for row in found.rows}
    one = stats.ttest_rel([0.7, 0.65, 0.5], [0.9, 0.8, 0.85]).pvalue
    other = stats.ttest_rel([0.1, 0.2, 0.5], [0.9, 0.8, 0.85]).pvalue
    # Holm's correction by hand, as SciPy has none: of three arms the best one's two differences
    # are two of the three that there are.
    low, high = sorted([one, other])
    corrected = {low: min(1, 3 * low), high: max(2 * high, min(1, 3 * low))}
    assert by_label["lr=0.01"].p == pytest.approx(corrected[one])
    assert by_label["lr=1"].p == pytest.approx(corrected[other])
    assert by_label["lr=0.1"].difference is None


def test_a_baseline_that_is_no_arm_is_refused_with_those_that_are(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9], lr0_01=[0.7])
    with pytest.raises(UserError, match=r"there are: lr=0\.01; lr=0\.1"):
        results(tmp_path, "lr=3")


def test_a_run_that_failed_or_diverged_is_counted_and_has_no_part_in_the_mean(
    make: Make, tmp_path: Path
):
    fill(make, lr0_1=[0.9, 0.8])
    make("0.1", 2, None, **unfinished("failed", error="OutOfMemoryError: too large"))
    make("1", 0, None, **unfinished("failed", error="Diverged: the loss became nan"))
    found = rows(tmp_path)
    assert found["lr=0.1"].states == {"finished": 2, "failed": 1}
    assert found["lr=0.1"].result is not None
    assert found["lr=0.1"].result.mean == pytest.approx(0.85)
    assert "no result for seed 2" in found["lr=0.1"].warnings
    assert found["lr=1"].states == {"diverged": 1}
    assert found["lr=1"].result is None
    told = text(results(tmp_path))
    assert "“lr=1” has no result: 1 diverged" in told
    assert "1 run failed" in told


def test_a_result_that_is_no_number_is_left_out_and_told(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8])
    make("0.1", 2, None)  # a NaN is written as null
    (row,) = results(tmp_path).rows
    assert row.result is not None
    assert row.result.count == 2
    assert "1 without a number" in row.warnings


def test_one_seed_is_called_one_seed(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9], lr0_01=[0.7])
    found = rows(tmp_path)
    assert all("one seed" in row.warnings for row in found.values())
    assert found["lr=0.01"].p is None
    assert "Every arm has one seed" in text(results(tmp_path))


def test_a_seed_that_other_arms_have_is_missed(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8, 0.7], lr0_01=[0.7, 0.6])
    assert "no result for seed 2" in rows(tmp_path)["lr=0.01"].warnings


def test_runs_that_their_search_gave_up_are_not_awaited(make: Make, tmp_path: Path):
    make("0.1", 0, None, **unfinished("pruned"))
    assert text(results(tmp_path)).startswith("No run has a result.")
    fill(make, lr0_01=[0.7, 0.6])
    told = text(results(tmp_path))
    assert "1 run is given up by the search (after 2 epochs)" in told
    assert rows(tmp_path)["lr=0.1"].states == {"pruned": 1}
    assert "yet" not in told


def test_a_running_run_is_told_from_one_that_was_cut_off(make: Make, tmp_path: Path):
    going = make("0.1", 0, None, **unfinished("running"))
    make("0.1", 1, None, **unfinished("running"))
    make("0.1", 2, None, **unfinished("preempted"))
    with claimed(going):
        states = [run.state for run in read([tmp_path])]
    assert states == ["running", "cut off", "preempted"]
    told = text(results(tmp_path))
    assert "No run has a result yet" in told
    assert "2 runs are cut off without a word" in told


def test_a_run_that_its_search_gave_up_is_not_waited_for(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9])
    make("1", 0, None, **unfinished("pruned"))
    found = results(tmp_path)
    kinds = {row.label: verdict(row, found) for row in found.rows}
    assert kinds == {"lr=0.1": "baseline", "lr=1": "pruned"}
    told = text(found)
    assert "No result, and none to come: “lr=1”: 1 pruned." in told
    assert "1 run is given up by the search" in told
    assert "No result yet" not in told


@pytest.mark.parametrize(
    ("state", "awaited"),
    [("preempted", True), ("running", True), ("pruned", False)],
)
def test_an_arm_is_awaited_while_one_of_its_runs_is(
    make: Make, tmp_path: Path, state: str, awaited: bool
):
    fill(make, lr0_1=[0.9])
    make("1", 0, None, **unfinished(state))
    make("1", 1, None, **unfinished("failed"))
    told = text(results(tmp_path))
    assert ("No result yet: “lr=1”." in told) is awaited
    assert ("No result, and none to come: “lr=1”: 1 " in told) is not awaited


def test_runs_that_failed_are_not_awaited(make: Make, tmp_path: Path):
    make("1", 0, None, **unfinished("failed"))
    told = text(results(tmp_path))
    assert told.startswith("No run has a result.")
    assert "yet" not in told


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_is_counted_and_told(make: Make, tmp_path: Path, state: RunState):
    fill(make, lr0_1=[0.9])
    written = {
        RunState.FINISHED: {},
        RunState.CUT_OFF: unfinished("running"),
        RunState.DIVERGED: unfinished("failed", error="Diverged: nan"),
    }.get(state, unfinished(state))
    path = make("1", 0, 0.5, **written)
    with claimed(path) if state is RunState.RUNNING else nullcontext():
        found = results(tmp_path)
    assert [row.states for row in found.rows] == [{"finished": 1}, {state: 1}]
    told = text(found)
    assert (remarks(found.rows[1], found).count(state), told.count("1 run ")) == (
        (0, 0) if state.has_result else (1, 1)
    )
    if not state.has_result:
        assert f"1 run {WHY[state].format(are='is')} (after 2 epochs)" in told


def test_a_state_of_a_later_version_counts_as_failed(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9])
    make("1", 0, None, **unfinished("a state of tomorrow"))
    assert "1 run failed" in text(results(tmp_path))


def test_the_plan_of_an_earlier_version_may_lack_a_key(make: Make, tmp_path: Path):
    path = make("0.1", 0, 0.9)
    plan(tmp_path, {path.name: ("low", 0)})
    (run,) = read([tmp_path])
    assert (run.name, run.label, run.plan["metric"]) == ("rates", "low", "")


def test_a_study_names_its_arms_its_baseline_and_the_runs_that_have_not_begun(
    make: Make, tmp_path: Path
):
    fill(make, lr0_1=[0.9, 0.8], lr0_01=[0.7])
    names = {path.name: path for path in (tmp_path / "runs").iterdir()}
    runs = {name: ("high" if "0.1_" in name else "low", int(name[-8:], 16)) for name in names}
    plan(tmp_path, runs | {"rate=0.01_seed=1-00000001": ("low", 1)})
    found = results(tmp_path)
    assert (found.baseline, found.chosen) == ("low", True)
    assert [row.label for row in found.rows] == ["low", "high"]
    assert found.rows[0].states == {"finished": 1, "not started": 1}


def test_an_arm_none_of_whose_runs_has_begun_is_still_an_arm(make: Make, tmp_path: Path):
    path = make("0.01", 0, 0.7)
    plan(tmp_path, {path.name: ("low", 0), "later": ("high", 0)})
    found = results(tmp_path)
    assert [row.label for row in found.rows] == ["low", "high"]
    assert found.rows[1].result is None
    assert "No result yet: “high”" in text(found)


def test_arms_that_begin_with_another_arms_weights_are_one_arm(make: Make, tmp_path: Path):
    for seed in (0, 1):
        weights = f"outputs/x/variant=A_seed={seed}-0123456{seed}"
        make("0.1", seed, 0.9, hyperparameters={"init.weights": weights, "seed": seed})
    assert len(group(read([tmp_path]))) == 1


def test_one_seed_that_begins_with_two_others_weights_is_two_arms(make: Make, tmp_path: Path):
    for number, rate in ((0, "0.1"), (1, "0.2")):
        weights = f"run:01234567_seed={number}-0123456{number}"
        make(rate, 5, 0.9, hyperparameters={"init.weights": weights, "seed": 5})
        (tmp_path / f"runs/rate={rate}_seed=5-00000005/.hydra/overrides.yaml").write_text("")
    labels = [arm.label for arm in group(read([tmp_path]))]
    assert len(labels) == 2
    assert all(f"seed={n}-0123456{n}" in label for n, label in enumerate(labels))


@pytest.mark.parametrize("lines", [slice(1, None), slice(0, 1), slice(0, 0)])
def test_a_finished_run_that_has_lost_epochs_is_told(make: Make, tmp_path: Path, lines: slice):
    path = make("0.1", 3, 0.7, epochs=2) / "metrics.jsonl"
    summary = json.loads((path.parent / "summary.json").read_text())
    (path.parent / "summary.json").write_text(json.dumps({**summary, "epochs": 2}))
    assert "lacks epochs" not in str(results(tmp_path).rows[0].warnings)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[lines]))
    assert "metrics.jsonl lacks epochs, or is another run's, of seed 3" in str(
        results(tmp_path).rows[0].warnings
    )


def test_epochs_of_another_run_are_told(make: Make, tmp_path: Path):
    final = {"epoch": 2, "test_accuracy": 0.7, "train_loss": 0.123}
    path = make("0.1", 3, 0.7, epochs=2, final=final, best=final) / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epochs": 2}))
    assert "another run's" in str(results(tmp_path).rows[0].warnings)


def test_runs_of_one_arm_that_saw_other_pixels_are_told(make: Make, tmp_path: Path):
    make("0.1", 0, 0.7, data={"test": 360, "digest": "a"})
    make("0.1", 1, 0.7, data={"test": 360, "digest": "b"})
    assert "different data" in str(results(tmp_path).rows[0].warnings)


def test_arms_of_one_name_are_told_apart_by_what_differs(make: Make, tmp_path: Path):
    paths = [make("0.1", seed, 0.9, hyperparameters={"seed": seed, "scale": s})
             for seed, s in ((0, 1.0), (1, 0.1))]  # fmt: skip
    plan(tmp_path, {path.name: ("low", seed) for seed, path in enumerate(paths)})
    labels = [arm.label for arm in group(read([tmp_path]))]
    assert labels == ["low (scale=1)", "low (scale=0.1)"]


def test_arms_can_be_made_by_chosen_keys_alone(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8], lr0_01=[0.7])
    (arm,) = group(read([tmp_path]), ["l2"])
    assert (arm.label, len(arm.runs)) == ("l2=0", 3)
    with pytest.raises(UserError, match=r"did you mean 'optimizer\.lr'"):
        group(read([tmp_path]), ["lr"])


def test_a_seed_that_comes_twice_in_an_arm_pairs_nothing(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8], lr0_01=[0.7, 0.6])
    (row,) = compare(group(read([tmp_path]), ["l2"])).rows
    assert row.result is not None
    assert row.result.count == 4


@pytest.mark.parametrize(
    ("condition", "kept"),
    [("optimizer.lr=1e-1", 2), ("optimizer.lr=0.1,0.01", 3), ("seed!=0", 1), ("state=finished", 3)],
)
def test_runs_can_be_chosen_by_what_they_are(make: Make, tmp_path: Path, condition: str, kept: int):
    fill(make, lr0_1=[0.9, 0.8], lr0_01=[0.7])
    assert len(where(read([tmp_path]), [condition])) == kept


def test_a_group_is_asked_for_as_it_is_typed_at_etude(make: Make, tmp_path: Path):
    for arm, choice in (("0.1", "sgd"), ("0.2", "adam_keras"), ("0.3", "sgd")):
        path = make(arm, 0, 0.9) / ".hydra" / "hydra.yaml"
        path.write_text(
            f"hydra:\n  runtime:\n    choices:\n      study: null\n      optimizer: {choice}\n"
            "      hydra/launcher: local\n  verbose: false\n"
        )
    runs = read([tmp_path])
    assert len(where(runs, ["optimizer=sgd"])) == 2
    assert [arm.label for arm in group(runs, ["optimizer"])] == [
        "optimizer=sgd", "optimizer=adam_keras",
    ]  # fmt: skip


@pytest.mark.parametrize("condition", ["l2", "l3=1", "l2=7"])
def test_a_condition_that_says_nothing_or_leaves_nothing_is_refused(
    make: Make, tmp_path: Path, condition: str
):
    fill(make, lr0_1=[0.9])
    with pytest.raises(UserError, match=condition.partition("=")[0]):
        where(read([tmp_path]), [condition])


def test_another_metric_is_compared_on_request(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.8])
    found = compare(group(read([tmp_path])), metric="seconds")
    assert found.rows[0].values == {0: 10.0, 1: 11.0}
    with pytest.raises(UserError, match=r"there are final\.epoch, final\.test_accuracy"):
        compare(group(read([tmp_path])), metric="final.tset_accuracy")


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there is no run below"):
        read([tmp_path])
    with pytest.raises(UserError, match="is no folder"):
        read([tmp_path / "nothing"])


def test_runs_that_were_replaced_are_not_read(make: Make, tmp_path: Path):
    path = make("0.1", 0, 0.9)
    path.rename(path.with_name(f"{path.name}.replaced-20260101T000000Z"))
    make("0.1", 0, 0.8)
    assert len(read([tmp_path])) == 1


def test_an_arm_that_does_not_learn_is_told_by_the_most_frequent_class(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9, 0.95], lr1=[0.14, 0.12], lr0_5=[0.3, 0.2])
    for path in (tmp_path / "runs").glob("rate=0.1*"):
        counts = [[40, 0], [300, 20]]
        content = {"classes": ["a", "b"], "counts": counts, "epoch": 1}
        (path / "confusion.json").write_text(json.dumps(content))
    found = results(tmp_path)
    assert chance(found.rows[0].arm, found.runs) == pytest.approx(
        320 / 360
    )  # of two classes the larger
    for path in (tmp_path / "runs").glob("rate=0.1*"):
        content["classes"] = list("0123456789")
        content["counts"] = [[36 if r == c else 0 for c in range(10)] for r in range(10)]
        (path / "confusion.json").write_text(json.dumps(content))
    found = results(tmp_path)
    kinds = {row.label: verdict(row, found) for row in found.rows}
    assert chance(found.rows[0].arm, found.runs) == pytest.approx(0.1)
    assert kinds["lr=1"] == "failed"  # within 0.1 + 3·sqrt(0.1·0.9/360) = 0.147
    assert kinds["lr=0.5"] != "failed"
    assert "“lr=1” does not learn at all" in text(found)


def test_the_verdicts_follow_the_interval_and_the_corrected_p(make: Make, tmp_path: Path):
    fill(
        make, lr0_1=[0.90, 0.91, 0.92], lr0_2=[0.95, 0.96, 0.975], lr0_3=[0.80, 0.81, 0.825],
        lr0_4=[0.9, 0.912, 0.919], lr0_5=[0.9, 0.3, 0.8], lr0_6=[0.9],
    )  # fmt: skip
    found = results(tmp_path, "lr=0.1")
    kinds = {row.label: verdict(row, found) for row in found.rows}
    assert kinds == {
        "lr=0.1": "baseline", "lr=0.2": "better", "lr=0.3": "worse", "lr=0.4": "even",
        "lr=0.5": "open", "lr=0.6": "unknown",
    }  # fmt: skip
    told = text(found)
    assert "“lr=0.2” is better: 96.2 %, 5.2 points above the baseline" in told
    assert "“lr=0.5” is uncertain: its 3 seeds gave 30.0 %, 80.0 % and 90.0 %" in told
    assert "nobody can say how sure" in told


def test_a_documents_figures_stand_beside_ours_with_a_verdict(make: Make, tmp_path: Path):
    figure = {"metric": "final.test_accuracy", "value": 0.99, "rule": "at least 0.98",
              "source": "document 9", "ours": 0.985}  # fmt: skip
    make("0.1", 0, 0.985, reference=[figure | {"agrees": True}])
    make("0.1", 1, 0.97, reference=[figure | {"ours": 0.97, "agrees": False}])
    make("0.2", 0, 0.5, reference=[figure | {"ours": 0.5, "agrees": None}])
    one, other = figures(results(tmp_path))
    assert one.texts()[2:] == ["0.9900", "at least 0.98", "0.9775", "NO, 1 of 2", "document 9"]
    assert other.verdict == "–"


def test_a_broken_line_of_metrics_is_left_out(make: Make, tmp_path: Path):
    path = make("0.1", 0, 0.9, epochs=3)
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "train_l')
    (run,) = read([tmp_path])
    assert run.epochs == 3


def test_a_report_can_be_made_of_one_run(make: Make):
    path = make("0.1", 0, 0.9)
    report = make_report([path])
    assert [row.label for row in report.results.rows] == ["as configured"]


def first(found: Results) -> str:
    (sentence,) = [s.text for s in answer(found) if s.kind == "headline"]
    return sentence


def test_one_sentence_says_which_arm_leads_and_whether_that_is_sure(make: Make, tmp_path: Path):
    near = [0.900, 0.912, 0.897, 0.905, 0.901]
    fill(make, lr0_1=near, lr0_01=[0.904, 0.899, 0.909, 0.896, 0.905],
         lr1=[v - 0.3 + 0.001 * n for n, v in enumerate(near)])  # fmt: skip
    found = results(tmp_path)
    assert first(found).startswith("You cannot tell “lr=0.1” and “lr=0.01” apart")
    assert first(found).endswith("; “lr=1” loses.")
    told = first(results(tmp_path, "lr=0.01"))
    assert told.startswith("“lr=1” is worse than the baseline “lr=0.01”; “lr=0.1” cannot be told")


def test_where_less_is_better_the_arm_with_the_least_is_named_first(make: Make, tmp_path: Path):
    for seed, more in enumerate([0.0, 0.3, -0.2, 0.1, -0.1]):
        for arm, loss in (("0.1", 0.5 + more), ("0.2", 0.6 - more)):
            make(arm, seed, 0.9, final={"epoch": 2, "test_accuracy": 0.9, "test_loss": loss})
    found = compare(group(read([tmp_path])), metric="final.test_loss")
    assert first(found).startswith("You cannot tell “lr=0.1” and “lr=0.2” apart")


def test_with_one_seed_the_first_sentence_says_that_nothing_is_sure(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.9], lr0_01=[0.7])
    assert "“lr=0.1” is highest with 90.0 %, but nobody can say" in first(results(tmp_path))


def test_a_margin_makes_close_arms_equivalent_in_sentence_and_table(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.900, 0.912, 0.897, 0.905], lr0_01=[0.901, 0.911, 0.898, 0.904])
    found = compare(group(read([tmp_path])), baseline="lr=0.01", margin=0.01)
    assert first(found) == ("“lr=0.1” is equivalent to the baseline “lr=0.01” within 1.0 points.")
    assert remarks(found.rows[1], found) == "equivalent"
    assert "“lr=0.1” is equivalent within 1.0 points: " in text(found)


def test_a_studys_margin_is_taken_from_its_plan(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.900, 0.912, 0.897], lr0_01=[0.901, 0.911, 0.898])
    runs = {path.name: ("high" if "0.1_" in path.name else "low", int(path.name[-8:], 16))
            for path in (tmp_path / "runs").iterdir()}  # fmt: skip
    plan(tmp_path, runs, margin=0.05)
    assert results(tmp_path).margin == 0.05


@pytest.mark.parametrize("margin", [0, -0.1, 0.5])
def test_a_margin_that_is_none_is_refused(make: Make, tmp_path: Path, margin: float):
    fill(make, lr0_1=[0.9], lr0_01=[0.7])
    with pytest.raises(UserError, match="--delta"):
        compare(group(read([tmp_path])), margin=margin)


def test_an_undecided_arm_says_how_many_seeds_would_tell(make: Make, tmp_path: Path):
    fill(make, lr0_1=[0.90, 0.93, 0.89, 0.92], lr0_01=[0.89, 0.90, 0.91, 0.90])
    found = results(tmp_path)
    row = next(row for row in found.rows if row.label != found.baseline)
    assert row.judged is not None
    assert f"undecided: about {row.judged.more} more seeds would tell" in remarks(row, found)


def test_an_arm_on_other_classes_is_judged_by_its_own_chance_and_says_so(
    make: Make, tmp_path: Path
):
    for arm, classes, values in (("0.1", "abc", [0.5, 0.52]), ("1.0", "de", [0.5, 0.51])):
        for seed, value in enumerate(values):
            data = {"test": 360, "classes": len(classes)}
            path = make(arm, seed, value, data=data, hyperparameters={
                "optimizer.lr": float(arm), "seed": seed, "dataset.classes": list(classes),
            })  # fmt: skip
            count = 360 // len(classes)
            counts = [[count if a == b else 0 for a in classes] for b in classes]
            content = {"classes": list(classes), "counts": counts, "epoch": 1}
            (path / "confusion.json").write_text(json.dumps(content))
    found = results(tmp_path, baseline=group(read([tmp_path]))[0].label)
    three, two = found.rows
    assert verdict(three, found) != "failed"  # a third is guessing
    assert verdict(two, found) == "failed"  # a half is
    assert "no better than always naming the most frequent class (50.0 %)" in text(found)
    assert "tested on other images than the baseline" in remarks(two, found)
    assert f"“{two.label}” was tested on other images than the baseline" in text(found)
    assert "other images" not in remarks(three, found)


def test_of_a_study_that_has_not_begun_this_is_told(tmp_path: Path):
    (tmp_path / "jobs.json").write_text("[]")
    with pytest.raises(UserError, match=r"nothing has begun in .* yet; etude-status shows"):
        read([tmp_path])

from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins

from etude.base.errors import UserError
from etude.base.places import shipped_conf as _shipped
from etude.search.axis import Choices, Numbers
from etude.search.space import Space, check_sampler, parse


def space_of(*words: str, params: dict[str, Any] | None = None) -> Space:
    Plugins.instance()  # who know how to read files
    path = ConfigSearchPathImpl()
    path.append("main", f"file://{_shipped()}")
    return parse(words, params, ConfigLoaderImpl(path))


@pytest.mark.parametrize(
    ("word", "axis"),
    [
        ("lr=interval(0.1,2)", Numbers("lr", 0.1, 2)),
        ("lr=tag(log,interval(1e-4,1e-1))", Numbers("lr", 1e-4, 1e-1, log=True)),
        ("n=int(interval(1,8))", Numbers("n", 1, 8, whole=True, step=1)),
        ("n=tag(log,int(interval(1,256)))", Numbers("n", 1, 256, log=True, whole=True, step=1)),
        ("n=range(1,9,3)", Numbers("n", 1, 7, whole=True, step=3)),  # as Hydra expands it: 1, 4, 7
        ("x=range(0.1,0.5,0.1)", Numbers("x", 0.1, 0.4, step=0.1)),
        ("+b=choice(x,2,[1,2])", Choices("+b", ("x", "2", "[1,2]"))),
        ("b=16,32", Choices("b", ("16", "32"))),
        ("b=shuffle(1,2,3)", Choices("b", ("1", "2", "3"))),
        ("optimizer=glob(ada*_keras)", Choices("optimizer", ("adadelta_keras", "adam_keras"))),
    ],
)
def test_a_search_reads_what_hydras_users_write(word: str, axis: object):
    assert space_of(word).items == (axis,)


def test_a_job_has_the_commands_words_in_their_order_with_one_value_for_each_key():
    space = space_of("a=1", "b=interval(0,1)", "+c=x,y", "d=range(0,2,0.5)")
    assert space.words({"b": 0.25, "c": "y", "d": 0.5}) == ["a=1", "b=0.25", "+c=y", "d=0.5"]


def test_the_commands_words_take_precedence_over_the_params_of_the_configuration():
    space = space_of("lr=0.5", params={"lr": "interval(0,1)", "model": {"width": "1,2"}})
    assert space.items == ("lr=0.5", Choices("model.width", ("1", "2")))


def test_a_grid_has_every_combination_once_with_the_last_key_changing_fastest():
    space = space_of("a=1,2", "b=range(3,6)")
    assert space.size == 6
    assert [tuple(params.values()) for params in space.grid()] == [
        ("1", 3), ("1", 4), ("1", 5), ("2", 3), ("2", 4), ("2", 5)
    ]  # fmt: skip


def test_the_corners_hold_every_end_and_every_choice():
    corners = list(space_of("a=1,2,3", "b=interval(0.5,4)").corners())
    assert {corner["a"] for corner in corners} == {"1", "2", "3"}
    assert {corner["b"] for corner in corners} == {0.5, 4}


def test_all_of_a_few_combinations_are_tried_before_a_search_and_the_corners_of_many():
    few = space_of("a=1,2,3", "b=x,y")
    assert list(few.samples()) == list(few.grid())
    for words in (["a=range(0,33)", "b=x,y"], ["a=interval(0,1)", "b=x,y"]):
        many = space_of(*words)
        assert list(many.samples()) == list(many.corners())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lr=0.1", "nothing to search over"),
        ("lr=interval(2,1)", "must be below"),
        ("lr=tag(log,interval(0,1))", "must be above 0"),
        ("lr=tag(lgo,interval(1,2))", "the tag lgo means nothing"),
        ("n=tag(log,range(1,9,2))", "a step must be 1"),
        ("n=range(3,3)", "nothing in this range"),
        ("o=glob(nothing*)", "nothing to choose from"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_in_words(word: str, said: str):
    with pytest.raises(UserError, match=said):
        space_of(word)


@pytest.mark.parametrize(
    ("sampler", "words", "said"),
    [
        ("grid", ["a=1,2", "b=interval(0,1)"], "no end over b"),
        ("cmaes", ["a=1,2", "b=interval(0,1)"], "two intervals"),
    ],
)
def test_a_sampler_refuses_a_space_that_it_cannot_work_in(
    sampler: str, words: list[str], said: str
):
    with pytest.raises(UserError, match=said):
        check_sampler(space_of(*words), sampler)

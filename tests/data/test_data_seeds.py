from etude.base.seeds import mix


def test_a_mixed_seed_is_the_same_today_as_when_it_was_introduced():
    assert mix(0, "order", 0) == 6743048721009530360


def test_neighbouring_seeds_epochs_and_streams_do_not_share_a_seed():
    seeds = {
        mix(seed, stream, epoch)
        for seed in range(20)
        for stream in ("order", "augment")
        for epoch in range(20)
    }
    assert len(seeds) == 800


def test_parts_do_not_run_into_each_other():
    assert mix(0, "ab", "c") != mix(0, "a", "bc")
    assert mix(0, "1") != mix(0, 1)


def test_a_mixed_seed_fits_a_generator():
    assert all(0 <= mix(seed, "x") < 2**63 for seed in (-1, 0, 2**70))

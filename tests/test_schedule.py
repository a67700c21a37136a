"""The schedule against the original's tables, and our per-resolution lengths."""

import json
from pathlib import Path

import pytest
from fidelity import assert_close

from training.config import ScheduleConfig, with_values
from training.schedule import phases, schedule_at

TABLES = json.loads((Path(__file__).parent / "golden" / "training_schedule.json").read_text())
ORIGINAL_DEFAULTS = {
    "lod_initial_resolution": 4,
    "minibatch_base": 16,
    "minibatch_dict": {},
    "G_lrate_dict": {},
    "D_lrate_dict": {},
}


@pytest.mark.parametrize("name", TABLES["tables"])
def test_equals_the_original_exactly(name):
    table = TABLES["tables"][name]
    schedule = with_values(ScheduleConfig(), {**ORIGINAL_DEFAULTS, **table["sched"]})
    points = [schedule_at(row[0], schedule, table["resolution"], table["num_gpus"]) for row in table["rows"]]
    ours = [(p.lod, p.resolution, p.minibatch, p.G_lrate, p.D_lrate, p.tick_kimg) for p in points]
    expected = [(lod, size, batch, *rest) for _, lod, size, batch, _, *rest in table["rows"]]
    assert_close("schedule", "training_schedule.json", ours, expected, name)


def test_the_new_resolution_counts_while_it_fades_in():
    point = schedule_at(900_000, ScheduleConfig(), 1024)
    assert (point.lod, point.level, point.fade, point.resolution) == (6.5, 6, 0.5, 16)


def test_lengths_per_resolution():
    tables = {"lod_training_kimg_dict": {8: 10, 16: 20}, "lod_transition_kimg_dict": {16: 4, 32: 0}}
    schedule = with_values(ScheduleConfig(), tables)
    lods = [schedule_at(kimg * 1000, schedule, 32).lod for kimg in (0, 10, 12, 14, 33, 34, 1000)]
    assert lods == [2, 2, 1.5, 1, 1, 0, 0]
    assert [row[0] for row in phases(schedule, 32)] == [8, 16, 32]


def test_a_minibatch_smaller_than_the_devices_is_refused():
    with pytest.raises(ValueError, match="smaller than the number of devices"):
        schedule_at(0, with_values(ScheduleConfig(), {"minibatch_dict": {8: 2}}), 8, num_devices=4)

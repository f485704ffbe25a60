from __future__ import annotations

import pytest

from shipfit.hardware import gpu
from shipfit.models import load_facts
from shipfit.precision import scheme
from shipfit.sizing import Replica, Settings, seats, size

LLAMA, L40S, BF16 = load_facts("meta-llama/Llama-3.1-8B"), gpu("L40S"), scheme("bf16")


def replica(**settings: int) -> Replica:
    return Replica(LLAMA, BF16, L40S, Settings(**settings))


def test_the_cache_holds_requests_of_the_mean_length() -> None:
    held = size(LLAMA, L40S, BF16, Settings(context=1000)).max_concurrency
    assert held == seats(replica(context=8192), 900, 200)
    assert held > seats(replica(context=8192), 1900, 200) * 1.9


def test_a_step_takes_in_no_more_than_its_settings_allow() -> None:
    assert seats(replica(max_num_seqs=4), 900, 200) == 4


def test_less_than_one_where_no_request_fits() -> None:
    facts = load_facts("meta-llama/Llama-3.3-70B-Instruct")
    assert seats(Replica(facts, BF16, L40S, Settings()), 900, 200) < 1


@pytest.mark.parametrize("cores", [1, 3])
def test_cores_of_a_processor_are_no_split(cores: int) -> None:
    facts = load_facts("bundled:gemma-3-270m")
    assert seats(Replica(facts, BF16, gpu("cpu"), Settings(tensor=cores)), 64, 16) >= 1

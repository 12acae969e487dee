"""The parts of a trial that need no model: families, pairs, matched costs, style."""

import re
from collections import Counter

import numpy as np
import pytest

from reporting.common_samples import paired, paired_sentence
from trials.bootstrap import Bootstrap
from trials.families import families, is_related
from trials.judgments import TrialError
from trials.matching import CLOSE, Depth, deeper
from trials.paired import paired_shares
from trials.pairs import all_pairs, pairs_of
from trials.style import features_of
from trials.win_rates import sign_test

ARMS = ("original", "edit", "advise", "refine", "best-of-n", "evolve")


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("gpt-5.4-mini", "o3", True),
        ("openai/gpt-oss-20b", "gpt-4o-mini", True),
        ("claude-opus-4.6", "anthropic/claude-haiku", True),
        ("google/gemma-3-27b-it", "gemini-2.5-pro", True),
        ("Qwen/Qwen3-8B", "Skywork/Skywork-Reward-V2-Qwen3-0.6B", True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek-chat", True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwq-32b", True),
        ("mixtral-8x7b", "mistral-small", True),
        ("ernie-4.5-turbo-128k", "completions_pro", True),
        ("house-model", "House-Model", True),
        ("gpt-5.4-mini", "glm-4.6", False),
        ("meta-llama/Llama-3.1-8B-Instruct", "microsoft/phi-4", False),
        ("01-ai/Yi-1.5-9B", "Qwen/Qwen3-8B", False),
        ("house-model", "gpt-5.4-mini", None),
        ("tiny", "large", None),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "gpt-4o-mini", False),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen3-8b-q4_k_m.gguf", True),
        ("openai/gpt-oss-20b-GPTQ", "o4-mini-2025-04-16", True),
        ("Writer/palmyra-x5", "gemini-2.5-pro", None),
        ("google/palm-2", "gemma-3", True),
        ("AIDC-AI/Marco-o1", "gpt-5.4", None),
        ("Skywork/Skywork-o1-Open-Llama-3.1-8B", "openai/o1", False),
        ("FreedomIntelligence/HuatuoGPT-o1-7B", "gpt-5.4", None),
        ("llama-factory/qwen2-7b-sft", "meta-llama/Llama-3.1-8B", False),
        ("ollama/mistral-nemo:12b", "llama3.1:8b", False),
        ("mistral-nemo:12b", "Mistral-Nemo-Instruct-2407-Q4_K_M.gguf", True),
        ("Qwen2.5-7B-Instruct.llamafile", "codellama-7b", False),
        ("llama.cpp/phi-3-mini-4k-instruct-q4.gguf", "llama-3", False),
        ("merge-Llama-3-Qwen2.5-8B", "qwen-max", True),
        ("merge-Llama-3-Qwen2.5-8B", "tinyllama", True),
        ("Qwen2-7B-sft-seed42", "doubao-pro", False),
        ("ByteDance-Seed/Seed-OSS-36B", "doubao-pro", True),
        ("EleutherAI/gpt-neox-20b", "gpt-4o", False),
        ("stabilityai/stablelm-2-zephyr-1_6b", "mistral-large", False),
        ("CohereForAI/c4ai-command-r-v01", "command-a", True),
    ],
)
def test_families_are_told_by_names(one: str, other: str, *, related: bool | None) -> None:
    assert is_related(one, other) is is_related(other, one) is related


def test_a_word_within_a_name_is_no_family() -> None:
    assert not families("morphism-7b") and not families("foyer") and not families("photo3x")


@pytest.mark.parametrize("arms", [ARMS[:count] for count in range(2, 7)])
def test_a_balanced_part_of_the_pairs_has_all_of_them_equally_often(arms: tuple[str, ...]) -> None:
    rounds = 60
    counted = Counter(pair for position in range(rounds) for pair in pairs_of(arms, "balanced", position))
    baseline, *others = arms
    assert {pair: n for pair, n in counted.items() if pair[1] == baseline} == {
        (arm, baseline): rounds for arm in others
    }
    rest = [n for pair, n in counted.items() if pair[1] != baseline]
    assert len(rest) == len(others) * (len(others) - 1) // 2 and len(set(rest)) <= 1
    assert set(counted) == set(all_pairs(arms, "balanced")) == set(all_pairs(arms, "all"))
    for position in range(rounds):
        met = [arm for pair in pairs_of(arms, "balanced", position) if pair[1] != baseline for arm in pair]
        assert len(met) == len(set(met)) == len(others) // 2 * 2


def test_the_later_arm_comes_first_in_a_pair() -> None:
    for which in ("baseline", "balanced", "all"):
        for position in range(20):
            for arm, rival in pairs_of(ARMS, which, position):
                assert ARMS.index(arm) > ARMS.index(rival)
    assert pairs_of(ARMS, "baseline", 3) == [(arm, "original") for arm in ARMS[1:]]
    assert len(pairs_of(ARMS, "all", 3)) == 15


def matched(costs: list[float], target: float, samples: int) -> tuple[Depth, float]:
    """Deepen an arm whose rounds cost so much in each sample, as long as there is a step."""
    depth, steps = Depth(1), 0
    while True:
        by_round = {n: costs[n - 1] * samples for n in range(1, depth.rounds + 1)}
        if depth.more:
            by_round[depth.rounds + 1] = costs[depth.rounds] * depth.more
        further = deeper(depth, by_round, target * samples, samples)
        if further is None:
            return depth, sum(by_round.values()) / samples
        assert further.most >= depth.most and further != depth
        depth, steps = further, steps + 1
        assert steps < 40


@pytest.mark.parametrize("samples", [12, 50, 200])
@pytest.mark.parametrize("target", [2.5, 4.0, 7.3, 12.9])
@pytest.mark.parametrize("growth", [0.97, 1.0, 1.08])
def test_costs_meet_the_target_by_one_more_round_in_some_samples(
    samples: int, target: float, growth: float
) -> None:
    depth, cost = matched([growth**n for n in range(40)], target, samples)
    assert abs(cost / target - 1) <= max(CLOSE, 1.2 * growth**depth.most / samples / target) + 0.01


def test_an_arm_that_costs_more_at_once_goes_no_further() -> None:
    assert deeper(Depth(1), {1: 300.0}, 200.0, 10) is None
    assert deeper(Depth(3), {1: 30.0, 2: 20.0}, 200.0, 10) is None  # no round cost anything


def test_depths_are_those_of_the_first_samples() -> None:
    depth = Depth(3, 2)
    assert [depth.of(position) for position in range(4)] == [4, 4, 3, 3] and depth.most == 4
    assert Depth(3).most == 3


def test_style_is_counted_by_length() -> None:
    plain, styled = "One and two.", "# Head\n\n- one\n- **two**\n1. three"
    assert features_of(plain).headers == features_of(plain).lists == features_of(plain).bold == 0
    found = features_of(styled)
    assert found.length == len(styled)
    counts = [round(n * len(styled)) for n in (found.headers, found.lists, found.bold)]
    assert counts == [1, 3, 1]
    assert features_of("").length == 0
    assert features_of("**" * 200_000).bold == 0  # in no time


def test_shares_of_two_runs_are_compared_on_the_samples_of_both() -> None:
    found = paired_shares(30, 10, 25, 35, Bootstrap(1))
    assert (found.samples, found.a, found.b) == (100, 0.4, 0.55)
    each = np.array([-1.0] * 10 + [1.0] * 25 + [0.0] * 65)
    one_by_one = Bootstrap(2).mean(each, -1, 1)
    assert found.difference.value == pytest.approx(one_by_one.value) == 0.15
    assert found.difference.low == pytest.approx(one_by_one.low, abs=0.02)
    assert found.difference.high == pytest.approx(one_by_one.high, abs=0.02)
    assert found.p == sign_test(25, 10)
    assert paired_shares(400_000, 1000, 2000, 597_000, Bootstrap()).difference.low > 0
    alike = paired_shares(10, 0, 0, 10, Bootstrap())
    assert alike.difference.low < 0 < alike.difference.high and alike.samples_needed is None
    assert (alike.different, found.different) == (0, 35)
    with pytest.raises(TrialError, match="two samples"):
        paired_shares(1, 0, 0, 0, Bootstrap())


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((14, 0, 0, 6), "A and B have a new response in 70.0 %, and no sample differs in this."),
        (
            (5, 400, 300, 5),
            r"A has .* 57.0 % and B in 43.0 %: −14.1 points \[95 % interval: −21.\d to −7.\d\]\.",
        ),
        (
            (0, 3, 3, 14),
            r"A and B have a new response in 15.0 %, though not in the same ones "
            r"\[95 % interval of the difference: −\d+.\d to \+\d+.\d points\]\.",
        ),
        ((0, 0, 5, 0), r".*: \+100.0 points .*, within noise.*: .*"),
    ],
)
def test_shares_of_two_runs_are_put_into_words(counts: tuple[int, ...], sentence: str) -> None:
    found = paired(dict(zip(("both", "only_a", "only_b", "neither"), counts, strict=True)))
    assert found
    assert re.fullmatch(rf"Of the {sum(counts)} samples in both, {sentence}", paired_sentence(found))

"""Fields next to a response that speak of it: what becomes of them where the response is a new one.

A score, a label or a token count of the old response would be false next to the new one, so such a field is
renamed: `score` becomes `original_score`. So is what holds the old response again, whatever its name. What
repeats the whole conversation, as `text` does in some Alpaca data, is dropped, and thoughts are treated as
the run or the user has it (`samples.thoughts`). Where the response is the old one, all fields are as they
were.

Which fields these are goes by the words of their names, whatever the style: `responseScore`, `score_gpt4`,
`num_tokens_output`. A word of the request or of a reference (`prompt_tokens`, `reference_score`) leaves a
field alone, and so do names that mostly speak of the request (category, topic, difficulty, source, id).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from json import dumps
from typing import Any

from samples.bounds import load_if_json
from samples.fields import LONGEST_NAME, is_missing, words, words_of
from samples.json_values import to_json
from samples.preferences import is_of_side, other_of
from samples.thoughts import Thoughts, is_of_rater, is_thought_field, thought_fields

ORIGINAL = "original_"

_METRICS = words("""
    score scores rating ratings rated reward rewards quality grade grades rank ranking margin upvotes
    votes preference preferences confidence perplexity ppl logprob logprobs logp logps logits embedding
    embeddings bleu rouge judge judgement judgements judgment judgments verdict critique critiques
    feedback evaluation evaluations assessment annotation annotations explanation justification
    helpfulness complexity honesty truthfulness harmlessness correctness coherence verbosity fluency
    toxicity toxic faithfulness groundedness relevance hallucination hallucinated correct incorrect
    verified passed refusal refused flagged moderation rationales labelling labeling
    approved approval accuracy ifd thumbs metric metrics nll bertscore bertscores meteor chrf elo
""")
_REMARKS = words("review reviews comment comments remark remarks")
"""Words at the end of a name that mean a judgment where the value is a text."""
_LOSSES = {"loss", "losses"}
"""Words at the end of a name that mean a measure, unless the value may be a trainer's mark."""
_COUNTS = words("tokens length lengths len chars characters words wordcount tokencount tok toks")
_COUNTED = {"token", "word", "char", "character", "sentence"}
"""Words that mean a count together with one of `_COUNT`."""
_COUNT = words("count counts cnt cnts")
_RATED = words("win pass success acceptance solve")
"""Words that mean a judgment together with "rate"."""
_OF_RESPONSE = words("""
    raw model models hash md sha language lang ids timestamp time predicted pred extracted gpt llm
""")
"""Words that speak of a response together with one of `_RESPONSE`."""
_RESPONSE = words("""
    response responses output outputs answer answers completion completions reply generation generations
    generated assistant chosen rejected prediction solution candidate candidates
""")
_OTHERS = words("""
    prompt prompts question questions query instruction instructions request input inputs problem task
    context system seed persona document passage topic category difficulty source dataset max min
    original reference references gold golden ground truth expected
""")
_REFERENCE = words("reference references gold golden ground truth expected")
_DERIVED = words("""
    translated translation summary edited edit rewritten corrected parsed cleaned formatted tokenized nchars
    zh en de fr es it pt ru ja ko ar hi old previous version by author date created cost
""")
"""Words for another form of a response, or for where it is from, together with one of `_RESPONSE`."""
_NAMES = words("""
    model model_name model_id generator generated_by engine teacher teacher_model llm finish_reason
    finish_reasons stop_reason usage latency distilabel_metadata distilabel_meta generation_kwargs
    generation_config sampling_params input_ids attention_mask token_ids output_ids position_ids
    special_tokens_mask loss_mask train_detail assistant_masks completion_mask generation generations
    completion completions prediction predictions
    created_by written_by produced_by annotated_by nchars num_chars latency_ms human_edited citations
    is_reasoning_complete sha md checksum content_hash text_hash candidates responses outputs kto_tag
    instruction_following is_safe is_valid is_preferred is_accepted is_good is_bad is_best is_better
    is_helpful likes dislikes final_answer tests_execution_status execution_status execution_result
    execution_results test_result test_results test_status pred preds predicted predicted_label pred_label
    truncated is_truncated num_sentences n_sentences gpt_eval llm_eval auto_eval
""")
_CHINESE = ("评分", "分数", "得分", "打分", "质量", "评价", "评语", "奖励")
"""Words for judgments in names that have no spaces."""
_CHINESE_OTHERS = ("问题", "指令", "提示", "输入", "题目", "参考", "标准", "难度")
_NOT = {"correct_answer", "correct_answers", "correct_option", "correct_response", "reward_model"}
"""References that are named with words of the above."""
_SPARED = ("rejected_response",)
"""ms-swift's worse response: it is one for a new response too."""
_META = words("meta metadata data info extra extras attributes properties stats statistics")
"""Words for an object of fields that speak of the record."""
_ASKED = words("""
    tool tools function functions schema parameter parameters params argument arguments args variables kwargs
    config format formats
""")
"""Words for an object whose fields are what is asked, or what it is asked with."""
_LABELS = {"label", "labels", "safety", "safety_label"}
_VERDICTS = words("safe unsafe harmful harmless helpful unhelpful honest biased offensive")
"""Names of labels that say what they judge."""
_JUDGMENTS = words("""
    true false yes no good bad great excellent poor fair average correct incorrect right wrong positive
    negative neutral chosen rejected accepted pass accept reject fail passed failed helpful unhelpful
    harmful harmless safe unsafe toxic desirable undesirable better worse high medium low 0 1
""")
"""What a label of a response says; other labels mostly speak of the request."""
_TEXTS = words("""
    text texts full_text formatted formatted_text chat conversation_text markdown
""")

_SCORES = re.compile(r"[a-z_]{1,40}:-?[0-9.]{1,20}(?:,[a-z_]{1,40}:-?[0-9.]{1,20})*")
"""Values of several judgments in one label, such as "quality:4,toxicity:0"."""
_LONGEST_LABEL = 1000
"""Characters."""

_DEEPEST = 20
"""Levels of lists and objects in which texts are looked for."""
_SHORT = 12
"""Characters of a text that may be in another one by chance."""
_META_DEPTH = 2
"""Levels of objects that speak of the record."""


@dataclass(slots=True)
class Neighbors:
    """What becomes of the fields next to new responses, and how many were treated."""

    thoughts: Thoughts = "drop"
    stale: Collection[str] = ()
    """Further fields that speak of a response."""
    not_stale: Collection[str] = ()
    """Fields that do not, whatever their names say."""
    renamed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    clashing: Counter[str] = field(default_factory=Counter)
    """Fields that are renamed because the format to write has one of that name."""
    other_side: Counter[str] = field(default_factory=Counter)
    """Fields of the other side of preference records that are left out."""
    thinking: int = 0
    """New responses whose old ones had thoughts."""

    def afresh(self) -> "Neighbors":
        """Return the same with nothing counted."""
        return Neighbors(self.thoughts, self.stale, self.not_stale)

    def add(self, other: "Neighbors") -> None:
        """Count what another one counted."""
        self.renamed += other.renamed
        self.dropped += other.dropped
        self.clashing += other.clashing
        self.other_side += other.other_side
        self.thinking += other.thinking

    def of_turn(
        self, turn: dict[str, Any], known: Collection[str], old: str, thoughts: str = ""
    ) -> dict[str, Any]:
        """Return a turn with a new response. `known` fields stay; `old` is the response that it had, without
        its `thoughts`."""
        repeating = [
            name
            for name, value in turn.items()
            if isinstance(value, str) and old and value.strip() == old.strip()
        ]
        return self._treated(turn, known, repeating, {old.strip(), *self._dropped(thoughts)}, thinks=True)

    def of_record(
        self,
        record: dict[str, Any],
        known: Collection[str],
        replaced: Sequence[tuple[str, str]],
        *,
        last: bool,
        side: str = "",
        thoughts: Sequence[str] = (),
        asked: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return a record with new responses.

        Args:
            record: the record.
            known: its fields that stay.
            replaced: the requests of these responses, and the old responses.
            last: whether the last response of the record is one of them.
            side: which side of a preference record they are.
            thoughts: those of the old responses.
            asked: the texts of the requests; a field with a part of one does not speak of the response.
        """
        repeating = [name for name in record if name not in known and _repeats(name, record[name], replaced)]
        olds = {old.strip() for request, old in replaced if old.strip() != request.strip()}
        olds.update(*map(self._dropped, thoughts))
        return self._treated(record, known, repeating, olds, thinks=last, side=side, asked=asked)

    def _dropped(self, thoughts: str) -> set[str]:
        """Return thoughts that are dropped, which no other field may hold then; nothing if they are kept."""
        return {thoughts.strip()} - {""} if self.thoughts == "drop" else set()

    def _treated(
        self,
        fields: dict[str, Any],
        known: Collection[str],
        repeating: Collection[str],
        olds: Collection[str],
        *,
        thinks: bool,
        side: str = "",
        asked: Sequence[str] = (),
        depth: int = _META_DEPTH,
        is_meta: bool = True,
    ) -> dict[str, Any]:
        """Return fields with those renamed or left out that speak of an old response; only judgments where
        `is_meta` is false: then nothing says that these are fields of the record."""
        thoughts = set(thought_fields(fields)) if is_meta and any(map(is_thought_field, fields)) else set()
        of_rater = {name for name in thoughts if side and is_of_rater(name)}
        thoughts -= of_rater
        treated: dict[str, Any] = {}
        for name, value in fields.items():
            loaded = value if name in known else load_if_json(value)
            is_object = isinstance(loaded, dict) and depth > 0
            is_about = is_object and is_meta and _is_meta(name)
            is_theirs = bool(side) and is_of_side(name, other_of(side))
            if name in known or name in self.not_stale or _is_empty(value):
                treated.setdefault(name, value)
            elif name in thoughts and (not thinks or self.thoughts == "keep"):
                treated[name] = value
            elif name in thoughts and self.thoughts != "text" and depth == _META_DEPTH:
                self.dropped[name] += 1
            elif name in {*self.stale, *thoughts, *of_rater} or (
                speaks_of_response(name, loaded, side)
                and (is_meta or _kind(name) in _JUDGING)
                and not _is_part(value, asked)
            ):
                self._rename(name, value, fields, treated)
            elif name in repeating:
                self.dropped[name] += 1
            elif not is_about and not is_theirs and _holds(name, value, olds):
                self._rename(name, value, fields, treated)
            elif is_about or (is_object and not is_theirs and _may_judge(name, value)):
                inner = self._treated(
                    loaded,
                    (),
                    (),
                    olds,
                    thinks=thinks,
                    side=side,
                    asked=asked,
                    depth=depth - 1,
                    is_meta=is_about,
                )
                treated[name] = value if inner == loaded else to_json(inner) if value is not loaded else inner
            else:
                treated[name] = value
        return treated

    def _rename(self, name: str, value: Any, fields: dict[str, Any], treated: dict[str, Any]) -> None:
        self.renamed[name] += 1
        # Of several, the oldest is the original.
        if _is_empty(fields.get(f"{ORIGINAL}{name}")):
            treated[f"{ORIGINAL}{name}"] = value


def speaks_of_response(name: str, value: Any, side: str = "") -> bool:
    """Return whether a field speaks of the response next to it.

    Args:
        name: the field's name.
        value: its value, which decides about labels.
        side: of a preference record, the one the response is on.
    """
    kind = _kind(name) if len(name) <= LONGEST_NAME else ""
    if side and kind:
        named = words_of(name)
        return other_of(side) not in named or side in named
    if kind == "remark":
        return isinstance(value, str | list) and _number(value) is None
    if kind == "loss":
        return _number(value) not in (None, 0, 1)
    if kind == "label":
        if isinstance(value, list):
            return all(isinstance(each, bool | int | float) for each in value)
        return isinstance(value, bool) or _number(value) is not None or _is_judgment(str(value))
    return bool(kind)


_JUDGING = ("judgment", "label", "loss", "remark")
"""Kinds of fields that judge a response, whatever they are fields of."""


@lru_cache(4096)
def _kind(name: str) -> str:
    """Return what a field of this name may be to a response: "label", "loss" and "remark" where the value
    decides, "judgment", "stale" for what speaks of it otherwise; empty for a field that does not."""
    named = words_of(name)
    whole, found = "_".join(named), set(named)
    # What coevol writes of a run (`coevol_…`) names that run.
    if not named or named[0] in ("original", "coevol") or whole in _NOT or whole in _SPARED:
        return ""
    if whole in _NAMES or not found.isdisjoint(("chosen", "rejected")):
        return "stale"
    if whole in _LABELS or whole in _VERDICTS:
        return "label"
    of_response = not found.isdisjoint(_RESPONSE)
    if not of_response and not found.isdisjoint(_OTHERS):
        return ""
    if named[-1] in _LOSSES:
        return "loss"
    if named[-1] in _REMARKS:
        return "remark"
    if "rate" in found and not found.isdisjoint(_RATED):
        return "judgment"
    judges = not found.isdisjoint(_METRICS) or _judges_in_chinese(name)
    if judges or (named[0] == "is" and not found.isdisjoint(_VERDICTS)):
        return "judgment"
    counts = not found.isdisjoint(_COUNTS) or not (found.isdisjoint(_COUNT) or found.isdisjoint(_COUNTED))
    # A reference in another form is still one.
    about = _OF_RESPONSE | _LABELS | (_DERIVED if _REFERENCE.isdisjoint(found) else frozenset())
    return "stale" if counts or (of_response and not found.isdisjoint(about)) else ""


def _judges_in_chinese(name: str) -> bool:
    if name.isascii():
        return False
    return any(word in name for word in _CHINESE) and not any(word in name for word in _CHINESE_OTHERS)


def _is_judgment(label: str) -> bool:
    """Return whether a label judges, with a word or with values such as "quality:4,toxicity:0"."""
    label = label.strip().lower()
    return label in _JUDGMENTS or (len(label) <= _LONGEST_LABEL and bool(_SCORES.fullmatch(label)))


def _is_meta(name: str) -> bool:
    named = words_of(name)
    return bool(named) and _META.issuperset(named)


def _may_judge(name: str, value: Any) -> bool:
    """Return whether an object may have judgments: it is not what is asked, nor an answer as JSON."""
    named = words_of(name)
    if named[:1] in (("original",), ("coevol",)) or "_".join(named) in _NOT:
        return False
    is_text = isinstance(value, str) and not (_RESPONSE | _TEXTS).isdisjoint(named)
    return not is_text and (_OTHERS | _ASKED).isdisjoint(named)


def _number(value: Any) -> float | None:
    """Return a number, which in a table may be a text."""
    if isinstance(value, str) and len(value) <= _SHORT:
        with suppress(ValueError):
            return float(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_part(value: Any, asked: Sequence[str]) -> bool:
    """Return whether a text is a part of what is asked."""
    text = value.strip() if isinstance(value, str) else ""
    return len(text) >= _SHORT and any(text in each for each in asked)


def _is_empty(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, str | list | dict) and not value)


def _repeats(name: str, value: Any, replaced: Sequence[tuple[str, str]]) -> bool:
    """Whether a field has a request and its old response, or is one of texts and has the response."""
    whole = "\n".join(text for text in _texts(value) if len(text) > 1)
    is_text = "_".join(words_of(name)) in _TEXTS

    def has(text: str) -> bool:
        return text in whole or dumps(text, ensure_ascii=False)[1:-1] in whole

    for request, response in ((request.strip(), response.strip()) for request, response in replaced):
        # Short texts are in others by chance.
        both = request and _SHORT <= len(request) + len(response) <= len(whole) and has(request)
        if response and (is_text or both) and has(response):
            return True
    return False


def _holds(name: str, value: Any, olds: Collection[str]) -> bool:
    """Whether a field is an old response, or has one as a whole text in it."""
    named = words_of(name)
    # A word alone may be a class or an answer known to be right.
    is_named = not _RESPONSE.isdisjoint(named) or not _TEXTS.isdisjoint(named)
    is_reference = not _REFERENCE.isdisjoint(named) or "_".join(named) in _NOT
    # From what is asked about, an answer may be copied.
    is_asked = not is_named and not _OTHERS.isdisjoint(named)
    if is_reference or is_asked or named[:1] in (("original",), ("coevol",)):
        return False
    return any(
        text in olds and (is_named or len(text.split()) > 1 or len(text) >= _SHORT)
        for text in map(str.strip, _texts(value))
    )


def _texts(value: Any, depth: int = _DEEPEST) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple) and depth:
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each, depth - 1)

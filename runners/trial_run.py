"""Carries out a trial: the arms, each a run, with costs matched to that of `evolve`; then the referees.

Whatever it decides on the way follows from what the ledgers hold, so the same command after any interruption
goes on where it stopped and comes to the same figures.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from graph.settings import FREE_ON_RESUME, WHAT_IT_COSTS, Settings
from ledger.ledger import Ledger, Result
from models.keys import Keys
from models.limits.budget import NOTHING, Amount
from models.policy import GatewayPolicy
from reporting.cost import nothing_spent, spent
from reporting.manifest import Manifest, RunError, differences, new_manifest, without_keys
from reporting.run import LEDGER
from reporting.trial import ARM_RUNS, DATA, PEOPLE, REFEREES, TrialRecord
from reporting.trial_costs import cost_by_round
from reporting.trial_judgments import is_of
from reporting.trial_manifest import (
    COUNTED,
    FILE,
    MATCHED,
    TARGET,
    DepthFacts,
    TrialManifest,
    is_trial,
    read_trial_manifest,
    settings_of,
    shown,
    write_trial_manifest,
)
from runners.api import execute, in_own_loop
from runners.folder import locked, renew
from runners.plan import Plan
from runners.referees import SIDES, RefereeEngine, RefereePlan, Responses, ask_each, referee_roles
from runners.trial_plan import TrialPlan
from samples.fields import plural
from samples.files import UNFINISHED, write_records
from trials.matching import Depth, deeper
from trials.pairs import PAIRS, all_pairs

_OURS = {FILE, DATA, ARM_RUNS, REFEREES, PEOPLE, "lock"}
"""All that the folder of a trial holds."""


def prepare(plan: TrialPlan, folder: Path) -> TrialManifest:
    """Return the manifest of a new trial, or that of the trial in a folder if it was made the same way.

    Nothing is written. A trial in which nothing was spent begins again if it differs.

    Raises:
        RunError: the folder holds another trial, or something else.
        DataError, PackError, UsageError: as `runners.plan.Plan.check_data` and `TrialPlan.draw`.
    """
    wanted = plan.run.check_data(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    others = [name for name in names if name not in _OURS and not name.endswith(UNFINISHED)]
    if others and not is_trial(folder):
        raise RunError(f"{folder} is not a trial (found {others[0]}); choose another folder")
    made = read_trial_manifest(folder) if is_trial(folder) else None
    if made:
        different = list(_differences(made, wanted, plan))
        if not different:
            return _grown(made, plan)
        if not _nothing_spent(TrialRecord(folder)):
            raise RunError(
                f"{folder} holds a trial that was made differently:\n"
                + "\n".join(f"  {name}: {there} there, {here} here" for name, there, here in different)
                + "\nUse another folder for this trial, or the same settings and data as before. More "
                "samples, pairs and referees can be added."
            )
    drawn = plan.draw()
    begun = TrialManifest(
        run=wanted,
        asked=plan.asked,
        positions=drawn.positions,
        ids=drawn.ids,
        seed=plan.seed,
        pairs=plan.pairs,
        referees=plan.facts_of_referees(),
        referee_settings=plan.referees.model_dump(mode="json"),
        depths={},
    )
    if plan.reading:
        begun["reading"] = dict(plan.reading)
    return begun


def _grown(made: TrialManifest, plan: TrialPlan) -> TrialManifest:
    """Return the manifest with what the plan has in addition: samples, pairs, referees."""
    grown: dict[str, Any] = {**made, "pairs": plan.pairs, "referees": plan.facts_of_referees()}
    if plan.reading:
        grown["reading"] = dict(plan.reading)
    if plan.asked > made["asked"]:
        drawn = plan.draw()  # which begins with those that were drawn before
        grown |= {"asked": plan.asked, "positions": drawn.positions, "ids": drawn.ids}
    theirs = plan.referees.model_dump(mode="json")
    if len(plan.referees.roles) == len(made["referees"]):
        theirs = _at_these_costs(made["referee_settings"], plan.referees)
    run = {**made["run"], "settings": _at_these_costs(made["run"]["settings"], plan.run.settings)}
    return cast(TrialManifest, {**grown, "run": run, "referee_settings": theirs})


def _at_these_costs(made: dict[str, Any], settings: Settings) -> dict[str, Any]:
    return {**made, **settings.model_dump(mode="json", include=set(WHAT_IT_COSTS))}


def _differences(made: TrialManifest, wanted: Manifest, plan: TrialPlan) -> Iterator[tuple[str, str, str]]:
    for name, there, here in differences(made["run"], wanted):
        if name not in FREE_ON_RESUME:
            yield ("arms" if name == "modes" else name), there, here
    yield from _of_referees(made, wanted, plan)
    if plan.asked < made["asked"]:
        yield "samples", str(made["asked"]), str(plan.asked)
    if made["pairs"] not in PAIRS[: PAIRS.index(plan.pairs) + 1]:  # each has those before it
        yield "pairs", made["pairs"], plan.pairs


def _of_referees(made: TrialManifest, wanted: Manifest, plan: TrialPlan) -> Iterator[tuple[str, str, str]]:
    one: Any = {**made["run"], "settings": made["referee_settings"], "salt": made.get("referee_salt")}
    now = plan.referees.model_dump(mode="json")
    for name in ("role_models", "role_extra_body"):  # without those that are new
        now[name] = {role: now[name][role] for role in now[name] if role in one["settings"]["role_models"]}
    for name, there, here in differences(one, cast(Manifest, {**wanted, "settings": now})):
        if name in ("role_models", "role_extra_body"):
            yield {"role_models": "referees"}.get(name, f"{name} of the referees"), there, here


def _nothing_spent(record: TrialRecord) -> bool:
    ledgers = (record.ledger_of(arm) for arm in record.arms[1:])
    return all(nothing_spent(ledger) for ledger in ledgers if ledger)


def load_keys(plan: TrialPlan) -> tuple[Keys, Keys]:
    """Return the keys of the arms and of the referees. Raises as `runners.plan.Plan.load_keys`."""
    connections = plan.run.limits.concurrency
    return plan.run.load_keys(connections), replace(plan.run, settings=plan.referees).load_keys(connections)


def trial_in_own_loop(plan: TrialPlan, folder: Path, made: TrialManifest, **more: Any) -> None:
    """Carry out a plan in a new event loop, where signals stop it."""
    in_own_loop(lambda signals: TrialRun(plan, folder, made, signals=signals, **more).run())


class TrialRun:
    """Carries out a plan in the folder of a trial. `run` may be called once.

    Args:
        plan: what to do.
        folder: the trial's.
        made: its manifest, from `prepare`.
        notify: receives what a user should know.
        policy: retries and waits.
        more: further arguments of `runners.api.execute`.
    """

    def __init__(
        self,
        plan: TrialPlan,
        folder: Path,
        made: TrialManifest,
        *,
        notify: Callable[[str], None],
        policy: GatewayPolicy | None = None,
        **more: Any,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._made = made
        self._notify = notify
        self._policy = policy
        self._more = {"notify": self._notify_once, "policy": policy, **more}
        self._told: set[str] = set()

    async def run(self) -> None:
        """Work until all is judged.

        Raises:
            As `runners.api.run`.
        """
        keys = load_keys(self._plan)
        with locked(self._folder):
            self._begin(keys)
            if not (ledger := TrialRecord(self._folder).referee_ledger()) or not ledger.has_calls():
                await ask_each(self._plan.referees, self._plan.run.limits, keys[1], self._policy)
            arms = self._plan.run.modes
            for arm in sorted(arms, key=lambda arm: (arm != TARGET, arms.index(arm))):
                await self._arm(arm)
            await self._judge(keys[1])

    def _begin(self, keys: Sequence[Keys]) -> None:
        """Write what the folder holds before anything is spent, and what was added since."""
        before = read_trial_manifest(self._folder) if is_trial(self._folder) else None
        is_new = before is None or _nothing_spent(TrialRecord(self._folder))
        if before == self._made and (self._folder / DATA).is_file():
            return
        if is_new or before is None or before["positions"] != self._made["positions"]:
            # Made here, or it would have the mode of any folder on the way to another.
            (self._folder / ARM_RUNS).mkdir(0o700, exist_ok=True)
            # In this order, so that a manifest implies the records.
            write_records(self._folder / DATA, self._plan.draw().records)
        run = without_keys(self._made["run"], keys[0]) if is_new else self._made["run"]
        theirs = self._without_keys(keys[1])
        self._made = {**self._made, "run": run, "referee_settings": theirs["settings"]}
        if salt := theirs.get("salt"):
            self._made["referee_salt"] = salt
        write_trial_manifest(self._folder, self._made)

    def _without_keys(self, keys: Keys) -> Manifest:
        """Return a manifest with the settings of the referees as they are recorded."""
        run = {name: value for name, value in self._made["run"].items() if name != "salt"}
        settings = self._plan.referees.model_dump(mode="json")
        return without_keys(cast(Manifest, {**run, "settings": settings}), keys)

    def _notify_once(self, notice: str) -> None:
        """Pass on what a run of the trial has to say, unless one before it said the same."""
        if notice not in self._told:
            self._told.add(notice)
            self._notify(notice)

    # --- arms

    async def _arm(self, arm: str) -> None:
        target = sum(self._by_round(TARGET).values()) if TARGET in self._plan.arms else 0.0
        if arm not in MATCHED or not target:
            await self._run_arm(arm, None)
            return
        facts = self._made["depths"].get(arm) or DepthFacts(rounds=1, more=0)
        depth: Depth | None = Depth(facts["rounds"], facts["more"])
        while depth:
            await self._run_arm(arm, depth)
            if not any(
                result.status == "done" and _goes_on(result, arm, depth.of(position) + 1)
                for position, result in self._results(arm)
            ):
                self._note(arm, DepthFacts(rounds=depth.rounds, more=depth.more, is_spent=True))
                return
            depth = deeper(depth, self._by_round(arm), target, len(self._made["positions"]))

    async def _run_arm(self, arm: str, depth: Depth | None) -> None:
        folder, whole = self._folder / ARM_RUNS / arm, self._plan.run
        settings = whole.settings
        depths: dict[int, int] = {}
        again: frozenset[int] = frozenset()
        if depth:
            facts = self._made["depths"].get(arm)
            if not facts or (facts["rounds"], facts["more"]) != (depth.rounds, depth.more):
                self._note(arm, DepthFacts(rounds=depth.rounds, more=depth.more))
            settings = settings.model_copy(update={MATCHED[arm]: depth.most})
            depths = {position: depth.of(position) for position in range(len(self._made["positions"]))}
            again = frozenset(
                position
                for position, result in self._results(arm)
                if result.status == "done" and _goes_on(result, arm, depths[position])
            )
        plan = replace(
            whole,
            data=self._plan.data_in(self._folder, self._made["ids"]),
            modes=[arm],
            settings=settings,
            depths=depths,
            again=again,
            elsewhere=self._spent_outside(folder),
        )
        if not again and self._is_done(plan, folder):
            return
        number = plural(len(again) or len(self._made["positions"]), "sample")
        up_to = f", up to {plural(depth.most, COUNTED[arm])}" if depth else ""
        self._notify(f"arm {arm}: {number}{up_to}")
        manifest = plan.check_data(folder)

        def deeper_or_larger(made: Manifest) -> Manifest:
            for name in MATCHED.values():
                made["settings"][name] = getattr(settings, name)
            return {**made, "data": manifest["data"]}

        renew(folder, deeper_or_larger)
        await execute(plan, folder, manifest, **self._more)

    def _is_done(self, plan: Plan, folder: Path) -> bool:
        if not (folder / LEDGER).is_file() or not Ledger.exists(folder / LEDGER):
            return False
        finished = Ledger.open(folder / LEDGER).finished(except_failed=plan.retry_failed)
        number = len(self._made["positions"])
        return all((at, mode) in finished for at in range(number) for mode in plan.modes_of(at))

    def _results(self, arm: str) -> list[tuple[int, Result]]:
        ledger = TrialRecord(self._folder).ledger_of(arm)
        return [(sample.position, found[arm]) for sample, found in (ledger.samples() if ledger else ())]

    def _by_round(self, arm: str) -> dict[int, float]:
        record = TrialRecord(self._folder)
        ledger = record.ledger_of(arm)
        return cost_by_round(ledger, settings_of(self._made), record.unit)[0] if ledger else {}

    def _note(self, arm: str, facts: DepthFacts) -> None:
        if self._made["depths"].get(arm) != facts:
            self._made["depths"][arm] = facts
            write_trial_manifest(self._folder, self._made)

    def _spent_outside(self, folder: Path) -> Amount:
        """Return what the trial has spent but for the run in a folder."""
        total = TrialRecord(self._folder).spent()
        if not (folder / LEDGER).is_file() or not Ledger.exists(folder / LEDGER):
            return total
        settings: Settings = self._plan.referees if folder.name == REFEREES else self._plan.run.settings
        return total.plus(spent(Ledger.open(folder / LEDGER), settings), -1)

    # --- referees

    def _referee_plan(self, responses: dict[int, Any], elsewhere: Amount = NOTHING) -> RefereePlan:
        whole, arms, pairs = self._plan.run, self._plan.arms, self._plan.pairs
        chat, reward = referee_roles(self._plan.referees)
        modes = [SIDES.join(pair) for pair in all_pairs(arms, pairs)] if chat else []
        return RefereePlan(
            whole.data,
            [*modes, *(arms if reward else ())],
            self._plan.referees,
            whole.limits,
            retry_failed=whole.retry_failed,
            elsewhere=elsewhere,
            arms=arms,
            pairs=pairs,
            responses=responses,
        )

    def _judged_before(self, record: TrialRecord, responses: Mapping[int, Responses]) -> Iterator[int]:
        """Yield the positions of samples that were judged before some referee was added, or before an arm had
        the response that it has now."""
        settings = self._plan.referees
        chat, reward = (
            {settings.endpoint(role).model for role in roles} for roles in referee_roles(settings)
        )
        ledger = record.referee_ledger()
        for sample, by_mode in ledger.samples() if ledger else ():
            now = responses.get(sample.position, {})
            if any(
                _lacks(result, chat, reward) or _is_of_others(result, mode, now)
                for mode, result in by_mode.items()
            ):
                yield sample.position

    async def _judge(self, keys: Keys) -> None:
        folder = self._folder / REFEREES
        record = TrialRecord(self._folder)
        responses = {each.position: each.responses for each in record.samples()}
        plan = self._referee_plan(responses, self._spent_outside(folder))
        again = frozenset(self._judged_before(record, responses))
        data = self._plan.data_in(self._folder, self._made["ids"])
        plan = replace(plan, data=data, again=again)
        if not again and self._is_done(plan, folder):
            return
        names = ", ".join(shown(referee["model"]) for referee in self._made["referees"])
        self._notify(f"referees: {names}")
        checked = plan.data.check()
        # The judge's templates, which every mode with a judge has.
        manifest = new_manifest(plan.data, checked, plan.settings, ["best-of-n"])
        manifest["modes"] = list(plan.modes)

        def with_more(made: Manifest) -> Manifest:
            recorded = without_keys(manifest, keys)
            same = made["settings"]["role_models"] == manifest["settings"]["role_models"]
            settings = made["settings"] if same else recorded["settings"]
            salt = {} if same or "salt" not in recorded else {"salt": recorded["salt"]}
            more = {"data": manifest["data"], "modes": manifest["modes"], "settings": settings, **salt}
            return cast(Manifest, {**made, **more})

        renew(folder, with_more)
        await execute(plan, folder, manifest, engine_of=RefereeEngine, **self._more)


def _lacks(result: Result, chat: Collection[str], reward: Collection[str]) -> bool:
    """Whether a referee has not been asked about some exchange."""
    for done in result.outcome:
        if "scores" in done and not done["scores"].keys() >= set(reward):
            return True
        if done["rounds"] and not done["rounds"][0]["forward"]["panel"].keys() >= set(chat):
            return True
    return False


def _is_of_others(result: Result, mode: str, responses: Responses) -> bool:
    """Whether referees judged other exchanges or texts than these, in a result that is not a failure as a
    whole."""
    if any(done["ending"] == "failed" for done in result.outcome):
        return False
    judged = {done["exchange"]: done for done in result.outcome}
    return judged.keys() != responses.keys() or not all(
        is_of(done, mode, responses[number]) for number, done in judged.items()
    )


def _goes_on(result: Result, arm: str, limit: int) -> bool:
    """Whether a result that was made with a lower limit is another one with this."""
    ends = ("max_rounds",) if arm == "refine" else None
    return any(
        len(done["rounds"]) < limit and (ends is None or done["ending"] in ends) for done in result.outcome
    )

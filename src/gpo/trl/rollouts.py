"""The callable that TRL's GRPOTrainer asks for rollouts, and the reward function that knows them already."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from datasets import Dataset

from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.protocols import Verifier
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.trl.batch import Batch, metrics, sample_batch
from gpo.trl.checks import check_one_side, check_split, check_trainer, group_starts, num_resets
from gpo.trl.rows import Asked, Prompt, Rows, prompt_ids
from gpo.trl.selfcheck import SelfCheck
from gpo.types import InputError

if TYPE_CHECKING:
    from gpo.policies.transformers import TransformersPolicy

RewardFunction = Callable[..., Any]


class Rollouts:
    """Samples a trainer's batch: fresh groups, and reset groups at critical steps of their trajectories.

    Made by `gpo.trl.rollout_func`. A process samples its own groups; nothing is exchanged. In
    evaluation every row is a plain sample of its prompt. The prior that the searches learn is kept from
    call to call, but in no checkpoint: a resumed run learns it again.
    """

    tokens: Counter[str]
    """All tokens that this process generated for training, by purpose; `untrained` are part of the others."""
    batch: Batch | None
    """What the last call sampled."""
    check: SelfCheck | None = None
    """For a version of TRL that no test has run."""

    def __init__(
        self,
        recipe: Recipe,
        verifier: Verifier,
        reset_share: float,
        answer_column: str,
        batch_tokens: int,
        seed: int | None,
        thinking_marks: Sequence[Sequence[str]] = (),
        allow_test: bool = False,
    ) -> None:
        self.tokens = Counter()
        self.batch = None
        self._recipe, self._verifier, self._reset_share = recipe, verifier, reset_share
        self._answer_column, self._batch_tokens, self._seed = answer_column, batch_tokens, seed
        self._thinking_marks, self._allow_test = thinking_marks, allow_test
        self._wholes: list[RewardFunction] = []
        self._trainer: Any = None
        self._rows: dict[bool, Rows] = {}
        self._asked: dict[str, Asked] = {}
        self._prior = PathPrior()
        self._call: tuple[str, int, int] = ("", 0, 0)

    def __call__(self, prompts: list[Prompt], trainer: Any) -> dict[str, Any]:
        """TRL's rollout function: prompt ids, sampled ids and their log-probabilities of every row.

        The prompt of a row in a reset group is question and prefix, so that TRL trains what was sampled.
        InputError if the trainer's settings cannot be honoured or a prompt is in no row of its data.
        """
        if trainer is not self._trainer:
            self._meet(trainer)
        is_training = trainer.model.training
        size = trainer.num_generations if is_training else 1
        asked = [self._ask(prompt) for prompt in group_starts(prompts, size)]
        lengths = [len(one.problem.prompt_ids) for one in asked]
        check_one_side(trainer.model.config, lengths, trainer.max_completion_length)
        self._asked = {one.problem.id: one for one in asked}
        resets = num_resets(len(asked), self._reset_share) if is_training else 0
        pool = Pool(self._policy(), self._verifier, self._next_seed())
        with trainer.accelerator.autocast():
            problems = [one.problem for one in asked]
            batch = sample_batch(pool, problems, size, resets, self._recipe, self._prior)
        self.batch = batch
        if is_training:
            self._prior = batch.prior
            self.tokens.update(batch.tokens)
        return {
            "prompt_ids": [list(rollout.state.ids) for rollout in batch.rollouts],
            "completion_ids": [list(rollout.action_ids) for rollout in batch.rollouts],
            "logprobs": [list(rollout.logprobs) for rollout in batch.rollouts],
        }

    def reward(
        self,
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None],
        log_extra: Callable[[str, list[str]], None],
        **_: Any,
    ) -> list[float]:
        """The rewards that the search knows already: nothing is verified twice, what was cut is 0.

        Logs the batch's metrics, each a mean over calls and processes, and in the table of completions
        which state a row started from.
        """
        batch = self._sampled(completion_ids)
        if self.check and self._trainer.model.training:
            self.check.begin(self._trainer.model, batch.rollouts)
        for name, value in metrics(batch).items():
            log_metric(name, value)
        states = [rollout.state for rollout in batch.rollouts]
        if self._trainer.log_completions:
            log_extra("gpo_question", [state.problem.question for state in states])
            log_extra("gpo_prefix", [batch.pool.policy.text(state.prefix_ids) for state in states])
        return [rollout.reward for rollout in batch.rollouts]

    def whole(self, function: RewardFunction) -> RewardFunction:
        """A reward function of your own, given whole completions: prefix and what was sampled after it.

        TRL alone would show it the sampled part, beside the prompt and columns of the row whose place a
        reset group took. It may be async.
        """

        def call(**arguments: Any) -> Any:
            return function(**self._whole_arguments(arguments))

        async def wait(**arguments: Any) -> Any:
            return await call(**arguments)

        named: Any = functools.update_wrapper(wait if _is_async(function) else call, function)
        named.__name__ = _name(function)
        self._wholes.append(named)
        return cast(RewardFunction, named)

    def _whole_arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        rollouts = self._sampled(arguments["completion_ids"]).rollouts
        asked = [self._asked[rollout.state.problem.id] for rollout in rollouts]
        completions: list[Any] = [rollout.text for rollout in rollouts]
        if not isinstance(asked[0].prompt, str):
            completions = [[{"role": "assistant", "content": text}] for text in completions]
        columns = {name: [one.row[name] for one in asked] for name in arguments if name in asked[0].row}
        about = {"prompts": [one.prompt for one in asked], "completions": completions}
        return arguments | columns | about | {"completion_ids": [list(r.completion_ids) for r in rollouts]}

    def _sampled(self, completion_ids: Sequence[Sequence[int]]) -> Batch:
        """The last call's batch, after making sure that it is what is to be rewarded."""
        batch = self.batch
        ids = [list(rollout.action_ids) for rollout in batch.rollouts] if batch else []
        if batch is None or ids != [list(one) for one in completion_ids]:
            raise InputError(
                "the completions to reward are not those that the rollout function sampled last; pass one "
                "gpo.trl.rollout_func to one trainer, as rollout_func, and its `reward` in reward_funcs"
            )
        return batch

    def _meet(self, trainer: Any) -> None:
        """Checks a trainer that asks for the first time, and reads its data."""
        try:
            check_trainer(trainer)
        except AttributeError as error:
            raise InputError(f"gpo.trl: this version of TRL is not one that it knows ({error})") from error
        if isinstance(trainer.train_dataset, Dataset):
            check_split(trainer.train_dataset, is_allowed=self._allow_test)
        if self.reward not in trainer.reward_funcs:
            raise InputError(
                "reward_funcs has to hold the rollout function's own `reward`; add rollouts.reward"
            )
        for function in trainer.reward_funcs:
            if function != self.reward and function not in self._wholes:
                raise InputError(
                    f"reward_funcs: {_name(function)} would see only what was sampled after a reset; wrap it "
                    "with the rollout function's `whole`"
                )
        self._trainer = trainer
        self._rows = {}

    def _ask(self, prompt: Prompt) -> Asked:
        is_training = self._trainer.model.training
        if is_training not in self._rows:
            name = "train_dataset" if is_training else "eval_dataset"
            dataset = getattr(self._trainer, name)
            named = (
                {f"{name}[{key!r}]": one for key, one in dataset.items()} if isinstance(dataset, dict) else {}
            )
            self._rows[is_training] = Rows(named or {name: dataset}, self._answer_column, self._verifier)
        ids = prompt_ids(self._trainer.processing_class, prompt, self._trainer.chat_template_kwargs)
        return self._rows[is_training].ask(prompt, ids)

    def _policy(self) -> TransformersPolicy:
        from gpo.policies.transformers import TransformersPolicy

        policy = TransformersPolicy(
            self._trainer.model,  # the whole model, outside of DDP's wrapper
            self._trainer.processing_class,
            temperature=self._trainer.temperature,
            max_tokens=self._trainer.max_completion_length,
            batch_tokens=self._batch_tokens,
            chat=False,  # the trainer's prompts are ids already, by its own template settings
            thinking_marks=self._thinking_marks,
        )
        policy.version = self._trainer.state.global_step
        return policy

    def _next_seed(self) -> int:
        """Seed of this call: by process, optimiser step and the call within it, for exact resumption."""
        mode, step = "train" if self._trainer.model.training else "eval", self._trainer.state.global_step
        self._call = (mode, step, self._call[2] + 1 if self._call[:2] == (mode, step) else 0)
        seed = self._trainer.args.seed if self._seed is None else self._seed
        return derive_seed(seed, *self._call, self._trainer.accelerator.process_index)


def _name(function: Any) -> str:
    """As TRL names a reward function in its metrics."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)

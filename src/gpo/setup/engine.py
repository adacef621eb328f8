"""Settings to the engine that samples: in this process, on a server or in Ray actors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpo import DEMO_MODEL, proposals, self_judge, tasks, values
from gpo.command_settings import SweepSettings
from gpo.policies.settings import EngineSettings, ModelSettings
from gpo.protocols import ForwardingPolicy, Policy, ValueModel
from gpo.recipe import Recipe
from gpo.rules import VALUE_RULES
from gpo.types import DataWarning, InputError, Problem, State

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.prompting import Prompting
    from gpo.policies.transformers import TransformersPolicy
    from gpo.policies.vllm import VllmPolicy


def model_of(settings: ModelSettings, checkpoint: Path | None = None) -> tuple[str | Path, str | None]:
    """Where the model and its adapter are; `checkpoint` holds the one of them that is trained."""
    model: str | Path = DEMO_MODEL if settings.model == "demo" else settings.model
    if checkpoint is None:
        return model, settings.adapter
    has_adapter = settings.adapter or getattr(settings, "lora_rank", None)
    return (model, str(checkpoint)) if has_adapter else (checkpoint, None)


def load_policy(settings: ModelSettings, checkpoint: Path | None = None) -> TransformersPolicy:
    """The policy that the settings name, with the weights of `checkpoint` if there is one."""
    import torch

    from gpo.policies.transformers import TransformersPolicy

    # Matrices this small are slower on two threads, and far slower where another program runs.
    if threads := settings.threads or (1 if settings.model == "demo" else None):
        torch.set_num_threads(threads)
    model, adapter = model_of(settings, checkpoint)
    return TransformersPolicy.load(
        model,
        adapter=adapter,
        trust_remote_code=settings.trust_remote_code,
        device=settings.device,
        dtype=settings.dtype,
        batch_tokens=settings.batch_tokens,
        **prompting(settings),
    )


def prompting(settings: ModelSettings) -> Prompting:
    """How any engine asks and samples."""
    return {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "max_tokens": settings.max_tokens,
        "stop": [*settings.stop, *_few_shot_stops(settings)],
        "chat": settings.chat,
        "system_prompt": settings.system_prompt,
        "template_args": settings.template_args,
        "thinking_marks": settings.thinking_marks,
    }


def _few_shot_stops(settings: ModelSettings) -> tuple[str, ...]:
    return tasks.prompts.stops(getattr(settings, "prompt", None), getattr(settings, "task", None))


def load_engine(settings: EngineSettings) -> Policy:
    """The policy that the settings name, sampled by the engine that they name."""
    if settings.engine == "transformers":
        return load_policy(settings)
    if settings.engine == "vllm":
        return load_vllm(settings)
    from gpo.policies.replicas import Patience
    from gpo.policies.server import ServerPolicy
    from gpo.policies.streaming import SLOTS
    from gpo.policies.text_only import TextOnlyPolicy

    kind: type[ServerPolicy] = TextOnlyPolicy if settings.text_only else ServerPolicy
    return kind.load(
        settings.server,
        DEMO_MODEL if settings.model == "demo" else settings.model,
        trust_remote_code=settings.trust_remote_code,
        served_model=settings.served_model,
        slots=settings.slots or SLOTS,
        patience=Patience(settings.request_timeout_s, settings.retries, settings.patience_s),
        **prompting(settings),
    )


def load_asking(settings: ModelSettings, checkpoint: Path | None = None) -> DescribedPolicy:
    """What asks as every engine does, and reads what is answered, without the weights to sample.

    InputError for all of the model and engine that can be seen to be wrong so far.
    """
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.loading import check_device

    engine = getattr(settings, "engine", "transformers")
    if engine == "vllm":
        vllm_policy()
    elif engine == "transformers" and settings.device:
        check_device(settings.device)
    model, adapter = model_of(settings, checkpoint)
    asking = DescribedPolicy.load(
        model,
        adapter=adapter,
        trust_remote_code=settings.trust_remote_code,
        has_weights=engine != "server",
        **prompting(settings),
    )
    if asking.context is not None and settings.max_tokens >= asking.context:
        message = (
            f"--max-tokens {settings.max_tokens:,}: the model has {asking.context:,} positions, prompt "
            "included, so completions are cut before that; lower it"
        )
        warnings.warn(message, DataWarning, stacklevel=2)
    path = proposals.value_path(getattr(settings, "proposal", None)) or getattr(settings, "value", None)
    if path is not None:
        from gpo.values.saved import check_fits

        check_fits(path, asking.fingerprint, asking.config.get_text_config().hidden_size)
    return asking


def vllm_policy() -> type[VllmPolicy]:
    """The class that samples with vLLM; InputError if it is not installed."""
    try:
        from gpo.policies.vllm import VllmPolicy
    except ImportError as error:
        raise InputError(f"--engine vllm: cannot be imported ({error}); pip install 'gpo[vllm]'") from None
    return VllmPolicy


def load_vllm(settings: EngineSettings) -> VllmPolicy:
    """vLLM in this process; InputError if it is not installed."""
    from gpo.policies.streaming import SLOTS

    return vllm_policy().load(
        DEMO_MODEL if settings.model == "demo" else settings.model,
        adapters={"adapter": settings.adapter} if settings.adapter else {},
        trust_remote_code=settings.trust_remote_code,
        dtype=settings.dtype,
        slots=settings.slots or SLOTS,
        lora_rank=getattr(settings, "lora_rank", None),
        engine=settings.vllm_args,
        **prompting(settings),
    )


def check_room(policy: Policy, problems: Sequence[Problem]) -> None:
    """InputError for a prompt that the engine has no room for: it may hold less than the model's context."""
    from gpo.policies.prompting import PromptedPolicy

    if isinstance(policy, ForwardingPolicy):
        policy = policy.policy
    if isinstance(policy, PromptedPolicy):
        for problem in problems:
            policy.room(State(problem))


def suited(recipe: Recipe, policy: Policy) -> Recipe:
    """The recipe, with steps that begin only where the policy's engine can begin.

    A value model that proposes is loaded. InputError for a proposal that the engine cannot read, a
    DataWarning for one that would have no effect.
    """
    if recipe.rule in VALUE_RULES and recipe.search == "adaptive":
        if recipe.proposal == "forced-answer" and policy.unreadable:
            raise InputError(policy.unreadable)
        if told := _in_vain(recipe, policy):
            warnings.warn(told, DataWarning, stacklevel=2)
        if (path := proposals.value_path(recipe.proposal)) is not None:
            recipe = recipe.changed(proposal=value_proposal(path, policy, is_trusted=recipe.trust_value))
    return recipe.changed(splitter=policy.restartable(recipe.step_splitter()))


def _in_vain(recipe: Recipe, policy: Policy) -> str | None:
    """Why the recipe's proposal would have no effect."""
    is_surprisal = recipe.proposal in ("surprisal", proposals.surprisal)
    if is_surprisal and not policy.has_logprobs:
        return (
            "the engine returns no log-probabilities, so the proposal has no effect; --proposal none says so"
        )
    if recipe.proposal in ("entropy", proposals.entropy) and not policy.has_entropies:
        other = "surprisal is free" if policy.has_logprobs else "none says so"
        return f"the engine returns no entropies, so the proposal has no effect; --proposal {other}"
    if recipe.proposal in ("self", self_judge.first_wrong) and not _is_instructed(policy):
        return (
            "the model has no chat template, so the proposal `self` asks what it was never taught to answer; "
            "what it does not answer is counted"
        )
    return None


def _is_instructed(policy: Policy) -> bool:
    """Whether a question is asked as a turn of a conversation."""
    while isinstance(policy, ForwardingPolicy):
        policy = policy.policy
    return getattr(policy, "template", None) is not None


def value_proposal(path: str, policy: Policy, *, is_trusted: bool) -> proposals.Proposal:
    """The value model at `path` as a proposal, on the policy's weights where it has them here."""
    from gpo.values.proposal import proposal
    from gpo.values.saved import described

    return proposal(load_values(path, policy), described(path).fitted.say if is_trusted else None)


def load_values(path: str, policy: Policy, device: str | None = None) -> ValueModel:
    """The value model at `path`, as `load_asking` found it: what it warned of is not said twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return values.load(path, policy, device=device)


def engine_counts(policy: Policy) -> dict[str, Any]:
    """For a summary: what an engine had to try again or refused; nothing if there is nothing to say."""
    counts = {name: num for name, num in policy.counts.items() if num}
    return {"tried_again": counts} if counts else {}


@contextmanager
def sampling(settings: SweepSettings) -> Iterator[Policy]:
    """The policy that samples: in this process, or in the actors that were asked for, which end with it."""
    if not settings.actors:
        yield load_engine(settings)
        return
    if settings.engine == "server":
        raise InputError("--actors: a server samples by itself; leave it out")
    from gpo.policies.ray import RayPolicy

    rows = settings.slots or max(1, settings.batch_tokens // (2 * settings.max_tokens))
    make = partial(load_engine, settings.model_copy(update=absolute(settings)))
    policy = RayPolicy(make, settings.actors, slots=rows, num_gpus=settings.actor_gpus)
    try:
        yield policy
    finally:
        policy.close()


def absolute(settings: SweepSettings) -> dict[str, str]:
    """Where the model is, for actors that run in another folder; a hub name stays one."""
    names = {key: getattr(settings, key) for key in ("model", "adapter")}
    return {
        key: str(Path(name).absolute())
        for key, name in names.items()
        if name and name != "demo" and Path(name).exists()
    }


def slots(settings: SweepSettings, policy: Policy, longest: int | None) -> int:
    """Rows of a wave: those asked for, else as many as `batch_tokens` hold where all are of full length.

    `longest` is the longest prompt; as long as a completion where it is not known.
    """
    width = policy.max_tokens + (policy.max_tokens if longest is None else longest)
    return settings.slots or max(1, settings.batch_tokens // width)

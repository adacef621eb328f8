"""Settings to the engine that samples, and what a run says of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpo import DEMO_MODEL, proposals
from gpo.commands import setup
from gpo.curve import VALUE_RULES
from gpo.policies.settings import EngineSettings, ModelSettings
from gpo.recipe import Recipe
from gpo.types import DataWarning, ForwardingPolicy, InputError, Policy, Problem, State

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.vllm import VllmPolicy


def load_engine(settings: EngineSettings) -> Policy:
    """The policy that the settings name, sampled by the engine that they name."""
    if settings.engine == "transformers":
        return setup.load_policy(settings)
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
        **setup.prompting(settings),
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
    model, adapter = setup.model_of(settings, checkpoint)
    return DescribedPolicy.load(
        model,
        adapter=adapter,
        trust_remote_code=settings.trust_remote_code,
        has_weights=engine != "server",
        **setup.prompting(settings),
    )


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
        **setup.prompting(settings),
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

    A DataWarning where its proposal needs entropies and the engine has none.
    """
    is_searched = recipe.rule in VALUE_RULES and recipe.search == "adaptive"
    is_blind = recipe.proposal in ("entropy", proposals.entropy) and not policy.has_entropies
    if is_searched and is_blind:
        warnings.warn(
            "the engine gives no entropies, so its proposal has nothing to say; --proposal surprisal is free",
            DataWarning,
            stacklevel=2,
        )
    return recipe.changed(splitter=policy.restartable(recipe.step_splitter()))


def engine_counts(policy: Policy) -> dict[str, Any]:
    """For a summary: what an engine had to try again or refused; nothing if there is nothing to say."""
    counts = {name: num for name, num in policy.counts.items() if num}
    return {"tried_again": counts} if counts else {}

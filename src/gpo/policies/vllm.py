"""A policy that samples with vLLM in this process, and takes over a trainer's weights.

Token ids in and out, the rows of a request in one call, prefixes cached. As vLLM's weights are a copy, every
update is followed by a comparison: a few of its log-probabilities with the trainer's.
"""

from __future__ import annotations

import math
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, Unpack

from vllm import SamplingParams
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind

from gpo.policies.described import load_description
from gpo.policies.fingerprint import files_digest, weights_digest
from gpo.policies.loading import check_files
from gpo.policies.prompting import PromptedPolicy, Prompting, context_of
from gpo.policies.stepping import Stepper
from gpo.policies.streaming import SLOTS, all_of
from gpo.policies.transformers import TransformersPolicy
from gpo.policies.vllm_engine import end, load_engine, rank_of, reload
from gpo.seeds import derive_seed
from gpo.types import DataWarning, EngineError, Ids, InputError, Request, Sample, State

TOLERANCE = {"float32": 1e-3}
"""Mean difference of log-probabilities that an update may leave, in nats, by the engine's dtype."""
_HALF_TOLERANCE = 0.1
_PROBE_TOKENS = 16


class VllmPolicy(PromptedPolicy):
    """Samples from a vLLM engine; made by `load`.

    `adapters` are LoRA folders by name, of which `adapter` is sampled from; None is the model itself.
    Log-probabilities are nan where vLLM has no mode for them (a temperature other than 1 and a cut), and a
    DataWarning says so. No entropies.
    """

    has_entropies = False

    def __init__(
        self,
        engine: Any,
        tokenizer: Any,
        *,
        end_ids: Ids,
        context: int | None,
        slots: int,
        dtype: str,
        weights: str,
        adapters: Mapping[str, str | Path] | None = None,
        **settings: Unpack[Prompting],
    ) -> None:
        super().__init__(tokenizer, end_ids=end_ids, context=context, **settings)
        self.slots = slots
        self._dtype, self._weights = dtype, weights
        self._loras = {
            name: LoRARequest(name, number, str(path))
            for number, (name, path) in enumerate((adapters or {}).items(), start=1)
        }
        self._num_loras = len(self._loras)
        self._has_loras = bool(engine.vllm_config.lora_config)
        self.adapter: str | None = next(iter(self._loras), None)
        is_scaled = self.sampling.temperature not in (0, 1)
        is_cut = self.sampling.top_p < 1 or self.sampling.top_k > 0
        self._knows_logprobs = not (is_scaled and is_cut)
        if not self._knows_logprobs:
            warnings.warn(
                "log-probabilities are left out: vLLM has no mode for those at a temperature other than 1 "
                "before top_p and top_k",
                DataWarning,
                stacklevel=2,
            )
        self._stepper = Stepper(engine)
        self._close = weakref.finalize(self, end, self._stepper, engine)

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        adapters: Mapping[str, str | Path] | None = None,
        lora_rank: int | None = None,
        trust_remote_code: bool = False,
        dtype: str = "auto",
        slots: int = SLOTS,
        engine: Mapping[str, Any] | None = None,
        **settings: Unpack[Prompting],
    ) -> Self:
        """The policy of a local folder or hub name, with LoRA adapters by name.

        `lora_rank` makes room for adapters that come later, by `update`. `engine` are further arguments of
        vLLM's EngineArgs, such as tensor_parallel_size. `dtype` auto is the checkpoint's. InputError if vLLM
        refuses any of it.
        """
        tokenizer, end_ids, config = load_description(model, trust_remote_code=trust_remote_code)
        check_files(model, (adapters or {}).values(), trust_remote_code=trust_remote_code)
        made, found = load_engine(
            str(model),
            trust_remote_code=trust_remote_code,
            dtype=dtype,
            slots=slots,
            rank=max([lora_rank or 0, *map(rank_of, (adapters or {}).values())]),
            temperature=settings.get("temperature", 1.0),
            arguments=engine or {},
        )
        length = made.vllm_config.model_config.max_model_len
        return cls(
            made,
            tokenizer,
            end_ids=end_ids,
            context=min(length, context_of(config) or length),
            slots=slots,
            dtype=found,
            weights=files_digest(model),
            adapters=adapters,
            **settings,
        )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """As of every policy; the weights are those of the files, or of the trainer after an update."""
        adapter = self._loras[self.adapter].lora_path if self.adapter else None
        return self.described(f"{self._weights}+{files_digest(adapter)}" if adapter else self._weights)

    def close(self) -> None:
        """Ends the engine; what is open fails."""
        self._close()

    def submit(self, request: Request) -> Future[list[Sample]]:
        """A future of this request's `num` samples."""
        done: Future[list[Sample]] = Future()
        try:
            room = self.room(request.state, request.most)
        except InputError as error:
            done.set_exception(error)
            return done
        if room < 1:
            done.set_result([Sample((), (), (), finished=False)] * request.num)
            return done
        # Greedy rows are all alike, and vLLM refuses to draw one twice.
        num = 1 if self.sampling.temperature == 0 else request.num
        params = self._params(num=num, max_tokens=room, seed=derive_seed("request", request.seed) >> 1)
        repeats = request.num // num
        return self._submit(
            request.state.ids, params, lambda output: [self._sample(one) for one in output.outputs] * repeats
        )

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its `num` samples, in order, as many rows at once as there are slots.

        A state that has used up the token limit gets empty unfinished samples. InputError if a prompt is
        empty or too long; EngineError if the engine breaks off.
        """
        return all_of([self.submit(request) for request in requests])

    @property
    def unreadable(self) -> str:
        if self.sampling.temperature not in (0, 1):
            return (
                f"--engine vllm: gives log-probabilities of given text at temperature 1, not "
                f"{self.sampling.temperature}; use --proposal none, or --temperature 1"
            )
        if self._has_loras:
            return (
                "--engine vllm: vLLM 0.32 fails when it reads given text with adapters enabled; use "
                "--proposal none"
            )
        return ""

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """Log-probabilities of continuations that were not sampled here.

        InputError at a temperature other than 1 or 0, as vLLM reads prompts at 1, where adapters are enabled,
        and for a trajectory that leaves no token of the context free.
        """
        if given and self.unreadable:
            raise InputError(self.unreadable)
        return all_of([self._read(state, ids) for state, ids in given])

    def update(self, trainer: TransformersPolicy, probes: Sequence[State]) -> float:
        """Takes over the trainer's weights, or its adapter; returns the mean difference that is left.

        EngineError if the log-probabilities of samples at `probes` differ from the trainer's by more than
        the dtype allows. No request may be open.
        """
        with tempfile.TemporaryDirectory() as folder:
            trainer.save(Path(folder))
            if (Path(folder) / "adapter_config.json").is_file():
                self._take_adapter(folder)
            else:
                self._stepper.run(lambda engine: reload(engine, folder))
            self.version = trainer.version
            self._weights = weights_digest(trainer.model)
            return self._check_parity(trainer, probes)

    def _take_adapter(self, folder: str) -> None:
        """A new adapter in the place of the last one, under a number that vLLM has not seen."""
        last = self._loras.get("trained")
        self._num_loras += 1
        request = LoRARequest("trained", self._num_loras, folder)
        self._loras["trained"], self.adapter = request, "trained"

        def take(engine: Any) -> None:
            if last:
                engine.remove_lora(last.lora_int_id)
            engine.add_lora(request)
            engine.reset_prefix_cache()

        self._stepper.run(take)

    def _check_parity(self, trainer: TransformersPolicy, probes: Sequence[State]) -> float:
        params = [
            self._params(num=1, max_tokens=min(_PROBE_TOKENS, self.room(state)), seed=i)
            for i, state in enumerate(probes)
        ]
        futures = [
            self._submit(state.ids, one, lambda output: self._sample(output.outputs[0]))
            for state, one in zip(probes, params, strict=True)
        ]
        samples = all_of(futures)
        known = trainer.read([(state, one.action_ids) for state, one in zip(probes, samples, strict=True)])
        gaps = [
            abs(ours - theirs)
            for one, other in zip(samples, known, strict=True)
            for ours, theirs in zip(one.logprobs, other.logprobs, strict=True)
        ]
        gap = sum(gaps) / len(gaps) if gaps else 0.0
        tolerance = TOLERANCE.get(self._dtype, _HALF_TOLERANCE)
        if not gap <= tolerance:
            is_tied = getattr(trainer.model.config.get_text_config(), "tie_word_embeddings", False)
            raise EngineError(
                f"vLLM's log-probabilities differ from the trainer's by {gap:.3g} nats on average after "
                f"update {trainer.version} ({tolerance:g} allowed at {self._dtype})"
                + (": tied embeddings, which vLLM reloads wrongly" if is_tied else "")
                + "; train with --engine transformers"
            )
        return gap

    def _params(self, *, num: int, max_tokens: int, seed: int, **more: Any) -> SamplingParams:
        """Every setting is said, so that nothing comes from the model's generation_config."""
        sampling = self.sampling
        return SamplingParams(
            n=num,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=max_tokens,
            seed=seed,
            logprobs=0,
            stop=list(self.stop),
            stop_token_ids=list(self.end_ids),
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
            detokenize=bool(self.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            **more,
        )

    def _submit(self, ids: Ids, params: SamplingParams, finish: Any) -> Future[Any]:
        lora = self._loras[self.adapter] if self.adapter else None

        def add(engine: Any, name: str) -> None:
            engine.add_request(name, {"prompt_token_ids": list(ids)}, params, lora_request=lora)

        return self._stepper.submit(add, finish)

    def _sample(self, output: Any) -> Sample:
        ids = tuple(output.token_ids)
        if output.finish_reason not in ("stop", "length"):
            raise EngineError(f"vLLM ended a row with finish_reason {output.finish_reason!r}")
        logprobs = tuple(at[one].logprob for one, at in zip(ids, output.logprobs, strict=True))
        if not math.isfinite(sum(logprobs)):
            raise FloatingPointError("the model's logits are not finite; its weights are broken")
        self.num_drawn += len(ids)
        if not self._knows_logprobs:
            logprobs = (math.nan,) * len(ids)
        return Sample(ids, logprobs, (), output.finish_reason == "stop")

    def _read(self, state: State, ids: Ids) -> Future[Sample]:
        whole, first = state.ids + ids, len(state.ids)
        if self.context is not None and len(whole) >= self.context:
            raise InputError(
                f"a trajectory has {len(whole)} tokens; the model's context is {self.context}; leave it out"
            )

        def finish(output: Any) -> Sample:
            places = output.prompt_logprobs[first:]
            logprobs = tuple(at[one].logprob for one, at in zip(ids, places, strict=True))
            return Sample(ids, logprobs, (), finished=True)

        return self._submit(whole, self._params(num=1, max_tokens=1, seed=0, prompt_logprobs=0), finish)

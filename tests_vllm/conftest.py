"""One vLLM engine in this process and one vLLM server for all tests here; both on a CPU, in float32."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "NO_PROXY": "127.0.0.1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.append(str(Path(__file__).parent.parent / "tests"))

from gpo import DEMO_MODEL

ENGINE = {"enforce_eager": True, "block_size": 32, "max_model_len": 1024}
MAX_TOKENS = 64


class Served:
    """vLLM's API server with the demo model, which can be killed and begun again."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.arguments = f"http://127.0.0.1:{self.port}", arguments
        self.start()
        self.wait()

    def start(self) -> None:
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(DEMO_MODEL)]
        command += ["--served-model-name", "demo", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--dtype", "float32", "--enforce-eager", "--block-size", "32", "--max-model-len", "1024"]
        command += ["--no-enable-chunked-prefill"]
        # A session of its own, so that its engine process can be ended with it.
        self.process = subprocess.Popen(
            [*command, *self.arguments], stdout=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the server ended before it was up"
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5)  # noqa: S310 - our own server
                return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError("the server was not up after 300 s")

    def kill(self) -> None:
        os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA folder for the demo model that changes what it says."""
    return made_adapter(tmp_path_factory.mktemp("lora"), seed=1)


def made_adapter(folder: Path, seed: int) -> Path:
    peft_model(seed).save_pretrained(folder)
    return folder


def peft_model(seed: int) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(DEMO_MODEL), config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_" in name:
                weights.normal_(0, 0.3)
    return model


@pytest.fixture(scope="session")
def vllm_policy() -> Iterator[Any]:
    """In process, at temperature 1; tests leave it as they found it."""
    from gpo.policies.vllm import VllmPolicy

    policy = VllmPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS, engine=ENGINE)
    yield policy
    policy.close()


@pytest.fixture(scope="module")
def lora_policy(adapter: Path) -> Iterator[Any]:
    """With the adapter `mine` beside the model, which it samples from; tests leave it as they found it."""
    from gpo.policies.vllm import VllmPolicy

    policy = VllmPolicy.load(DEMO_MODEL, adapters={"mine": adapter}, max_tokens=MAX_TOKENS, engine=ENGINE)
    policy.adapter = None
    yield policy
    policy.close()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    server = Served("--logprobs-mode", "processed_logprobs")
    yield server
    server.kill()

"""One module per command: `run(settings, ui)` does the work and returns the command's JSON object."""


def quiet() -> None:
    """Keeps the libraries' own bars and notes out of a command's output, and off the network's telemetry."""
    import logging
    import os
    import warnings

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as notes

    # peft 0.21 asks transformers 5.23 by an old name.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    notes.disable_progress_bar()  # type: ignore[no-untyped-call]
    notes.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("reasoning_gym").setLevel(logging.ERROR)

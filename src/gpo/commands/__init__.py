"""One module per command: `run(settings, ui)` does the work and returns the command's JSON object."""


def quiet() -> None:
    """Keeps the libraries' own bars and notes out of a command's output, and off the network's telemetry."""
    import logging
    import os

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("reasoning_gym").setLevel(logging.ERROR)

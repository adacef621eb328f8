"""One torch thread: the tests' models are tiny, and two threads that wait for a core are slower than one."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

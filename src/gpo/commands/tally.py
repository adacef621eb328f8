"""What a verifier could not judge, from one line of a run to the next."""

from __future__ import annotations

from gpo.protocols import Verifier, unjudged


class Tally:
    """Counts from when it is made; from the verifier's start with `is_whole`."""

    def __init__(self, verifier: Verifier, *, is_whole: bool = False) -> None:
        self._verifier = verifier
        self._seen = {} if is_whole else unjudged(verifier)

    def since(self) -> dict[str, int]:
        """Answers without a verdict since the last time, by kind; kinds without any are left out."""
        now = unjudged(self._verifier)
        found = {kind: num - self._seen.get(kind, 0) for kind, num in now.items()}
        self._seen = now
        return {kind: num for kind, num in found.items() if num}

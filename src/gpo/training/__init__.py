"""Training in rounds: one loop, and what online and offline learning do differently in it.

loop.py      a round: learn, evaluate, checkpoint, commit; before the first, after the last, and resumed
online.py    groups of rollouts to weights, by policy gradient
offline.py   pairs and labelled rows to weights, by TRL's preference losses
value.py     what runs counted to a model of V, in one go and without rounds
weights.py   settings to the policy that is trained, and to the engine that samples with its weights
log.py       what a run says of itself: a bar, a line a round, warnings, trackers
summary.py   what it comes to at the end
"""

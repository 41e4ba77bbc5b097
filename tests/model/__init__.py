"""The protocol as a model: one person, a worker, the nightly sync, people who opt out, crashes, lost and late requests.

Every reachable state is visited. The decisions are the engine's own functions (`rules`); what carries them out is written here
once more, step by step under the engine's names (`worker`, `sync`), because a database can't be forked a million times.
"""

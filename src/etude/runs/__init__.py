"""A run's folder: what is in it, who may write there, and where the run stands.

Nothing in here knows PyTorch, Hydra or the terminal, so that a report, a launcher and another
terminal can ask. `names` has the files' names, `records` what is in them, `claim` who works there,
`state` and `status` where a run stands, `find` where runs are, `environment` what a run was made
with, `study` what a study planned.
"""

"""Many jobs on one machine: a fresh process for each, packed on its cores or its GPUs.

Nothing in here knows Hydra or PyTorch; `hydra_plugins.etude_local` is the launcher made of it.
`task` says what a job may tell of itself, `slots` where it may run, `pool` runs them all, `client`
and `server` are the two ends of the fork server, `child` is what happens in a job's process, and
`table` is what people see. `queue` is SLURM's, for `hydra_plugins.etude_slurm`.
"""

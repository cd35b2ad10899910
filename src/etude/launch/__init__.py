"""Many jobs on one machine: a fresh process for each, packed on its cores or its GPUs.

Nothing in here knows Hydra or PyTorch; `hydra_plugins.etude_local` is the launcher made of it.
`task` says what a job may tell of itself, `job` what became of it, `slots` where it may run on what
`machine` counts; `loop` is what every launcher does, `pool` does it here. `client` and `server` are
the two ends of the fork server, which speak by `wire`; `child` is what happens in a job's process.
`table` is what people see, `stopping` and `expected` what they are told at the end and before.
`commands` and `commands_server` are the queue of whole commands behind `etude-queue`; `squeue` asks
SLURM's, for `hydra_plugins.etude_slurm`.
"""

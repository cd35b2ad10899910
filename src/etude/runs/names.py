"""The names of all files in a run's folder, and beside the folders of runs."""

from typing import Final

# What a run says of itself.
SUMMARY: Final = "summary.json"
METRICS: Final = "metrics.jsonl"  # a line an epoch
ENVIRONMENT: Final = "environment.json"
DIFFERENCE: Final = "code-{}.patch"  # of its checkout to the commit, by a digest
CONFUSION: Final = "confusion.json"
LAYERS: Final = "layers.json"  # how signals spread before the first step
INFERENCE: Final = "inference.json"  # all that its network needs to be used
EVALUATION: Final = "evaluation.json"
CURVES: Final = "curves.png"
CONFIG: Final = "config.yaml"  # as resolved
COMPOSED: Final = ".hydra/config.yaml"
HYDRA: Final = ".hydra/hydra.yaml"
OVERRIDES: Final = ".hydra/overrides.yaml"
RUN_LOG: Final = "run.log"  # its own messages, with the traceback if it failed
OUTPUT_LOG: Final = "output.log"  # all that a launcher's job prints

# Its weights.
LAST: Final = "last.ckpt"
PREVIOUS: Final = "last.ckpt.previous"
BEST: Final = "best.safetensors"

LOCK: Final = ".lock"  # there while a process is at work in the folder

# In the folder that holds those of a sweep's or a study's runs.
LISTING: Final = "jobs.json"  # what the last sweep or study wants there
STUDY: Final = "study.json"  # what a study set out to do
CRATE: Final = "ro-crate-metadata.json"  # in a bundle, of which all runs are copies
REPLACED: Final = ".replaced-"  # in the name of a folder that was moved aside

"""A Hydra app that does nothing: what `etude --help` and `etude --cfg job` are held against."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path="conf", config_name="hydra_app")
def main(_config: DictConfig) -> None:
    """Do nothing."""


if __name__ == "__main__":
    main()

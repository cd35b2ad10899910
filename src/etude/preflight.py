"""What can be known of a job before anything slow is imported, written or started."""

from etude.config import source_of
from etude.errors import UserError
from etude.jobs import Job
from etude.record.folder import read_summary


def inspect(job: Job) -> None:
    """Check that a job's data is there and what it claims to be, and that a batch fits.

    A job that has finished needs no data, and one that runs elsewhere may have it there.

    Raises:
        UserError: The job could not be trained.
    """
    summary = read_summary(job.folder) or {}
    done = summary.get("state") == "finished" and not job.config.fresh
    if done or not job.local:
        return
    _check_batch(job, _training_images(job))
    if job.config.device.startswith("cuda"):
        from etude.hardware import choose_device  # noqa: PLC0415 (imports torch)

        choose_device(job.config.device)


def _training_images(job: Job) -> int:
    from etude.data.splits import held_out  # noqa: PLC0415

    dataset = job.config.dataset
    images: int = source_of(job.config).facts().train_images
    images = min(images, dataset.limit_train or images)
    return images - held_out(images, dataset.validation_split, dataset.validation_fraction)


def _check_batch(job: Job, images: int) -> None:
    batch_size = job.config.train.batch_size
    if batch_size > images:
        raise UserError(
            f"train.batch_size={batch_size} is larger than the training split of {images} images"
        )

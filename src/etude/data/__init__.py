"""Data sets: sources of uint8 images, their splits, and batches on the device."""

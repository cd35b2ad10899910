"""Where images come from: files and packages, to uint8 tensors."""

"""Optimizers with the constants and formulas of Keras and TensorFlow."""

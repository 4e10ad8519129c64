"""Optimizers that ask for the loss twice in a step, and so look for flat minima: SAM, CrAM and SAFE."""

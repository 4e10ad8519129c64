"""Look at what flows through a network on batches of training data, in evaluation mode and without gradients."""

"""Where logged values go: files in the run folder, TensorBoard, Weights & Biases."""

"""Where a run's numbers go besides its folder: TensorBoard, MLflow, W&B, Trackio, or a logger of one's own."""

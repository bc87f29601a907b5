"""What a run shows: TensorBoard, figures, predictions."""

"""What is known of tensors: value numbers, how they rotate, batches and sizes."""

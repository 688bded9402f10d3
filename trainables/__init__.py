"""What one trial does: train, descend, deliver. Torch, no engines."""

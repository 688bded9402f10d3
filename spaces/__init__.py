"""What may be tried: knobs with inclusive ranges, and the sweep file that names them. No torch, no engines."""

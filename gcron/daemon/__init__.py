"""The foreground service: signals, log formats, and the one thread that writes."""

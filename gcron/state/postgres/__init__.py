"""What gcron remembers in PostgreSQL, where several nodes share it. `store.py` is what the scheduler's loop touches."""

"""SevenNet's own calculator beside the converted model, for `foundation.py`; one process and environment each."""

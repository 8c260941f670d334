"""Running other packages, each in a Python environment of its own.

`environment.py` names the packages and finds their interpreters; `worker.py` starts a process there, sends it tasks and
reads answers; `__main__.py` is that process, which imports a module of tasks; `job.py` is what can be timed there.
The last two need torch alone.
"""

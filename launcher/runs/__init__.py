"""The run folder: every file name, who drives a run, how attempts follow each other, what ended one."""

"""The command line: verbs, tables, exit codes. It decides nothing."""

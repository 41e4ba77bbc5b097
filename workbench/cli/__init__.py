"""The command line: parse, call the Workbench, print, exit code. Decides nothing about people.

Data goes to stdout, talk and progress to stderr. Exit codes: 0 fine; 1 found something (mismatches, refusals, rejected rows, a
relapse, a tampered trail, an altered report); 2 could not do or tell; 130 interrupted. Modules of this room import what they
need inside the commands, so that ``workbench --help`` starts at once (`tests/test_startup.py`).
"""

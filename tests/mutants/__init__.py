"""Mutation testing: small mistakes made in the rules, one at a time and in memory; the tests have to notice each.

mutmut 3 leaves out every decorated function, which is what our rules are, and all that stands outside of functions; so this does it.
`PYTHONPATH=tests python -m mutants` prints the table and every mistake that nobody noticed.
"""

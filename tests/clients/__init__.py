"""The scratch org against clients and parsers that nobody here wrote, from npm."""

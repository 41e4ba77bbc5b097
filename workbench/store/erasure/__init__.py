"""Erasing people from the register: what names them (`traces`), what must stay and why (`proof`), and taking it out (`removal`)."""

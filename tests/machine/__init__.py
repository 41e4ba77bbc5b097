"""A machine that does at random what people, other users, crashes and clocks do, and books what has to hold by itself."""

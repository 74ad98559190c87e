"""How well departures from a protocol are found: on cases without pixels, on pixels, and on the courses of real operations."""

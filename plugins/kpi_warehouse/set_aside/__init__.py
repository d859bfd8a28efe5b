"""Steps of history that the marts leave out, so that one bad delivery never stops the board.

When a build fails, the newest steps of the feeds behind the failing checks are tried out; the one that explains the failure is
set aside with an incident, and everything else is published in the same run. `ops.set_aside` is the book of it.
"""

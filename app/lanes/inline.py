"""The `inline` lane: the event loop itself, for rules that take microseconds."""

from __future__ import annotations

from app.lanes.lane import Lane


class InlineLane(Lane):
    """Has nothing to start and nothing to lend but slices of the loop."""

    name = "inline"

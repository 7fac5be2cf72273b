"""What a group of scores comes to. Pure: no I/O, no clock.

advantages     how much better than its group each completion did
selection      which completion of a group to keep
distribution   how rewards, answers and lengths are spread, and pass@k
schemas        `POST /v1/groups` on the wire
"""

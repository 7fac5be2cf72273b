"""Where samples are scored: one bounded queue a lane, and the place that each lends."""

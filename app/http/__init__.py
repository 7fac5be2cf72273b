"""HTTP itself, around the routes: what every request passes, and what a failed one hears."""

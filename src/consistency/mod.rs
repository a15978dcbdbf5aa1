//! Policies: decisions from keys, ranges, ticks, sizes and named scalars. Never a value.

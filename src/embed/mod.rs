//! Driver 1: the store in this process, one lock per shard.

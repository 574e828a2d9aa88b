//! Compaction loses nothing, and retention takes what is due and nothing else.

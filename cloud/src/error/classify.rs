//! Reading an SDK error.

//! incidents, tested from outside.

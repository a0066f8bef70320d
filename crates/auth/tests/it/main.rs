//! auth, tested from outside.

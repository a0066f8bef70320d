//! points, tested from outside.

//! observability, tested from outside.

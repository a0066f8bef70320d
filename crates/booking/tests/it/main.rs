//! booking, tested from outside.

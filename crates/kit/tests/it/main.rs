//! kit, tested from outside.

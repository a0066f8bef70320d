//! The access matrix of all four services. `tests/access` checks that `docs/access.md` is true.

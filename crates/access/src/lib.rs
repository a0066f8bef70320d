//! Who may call what, over all four services: `docs/access.md` says, and `tests/access` holds it to that.

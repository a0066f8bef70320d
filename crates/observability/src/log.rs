//! One line per event, with the ids of the work it belongs to.

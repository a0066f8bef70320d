//! The process's Prometheus registry and the metrics every service has.

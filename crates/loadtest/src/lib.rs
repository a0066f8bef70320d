//! What the benchmarks share: clients in a closed loop, pgbench, and the figures that both give.

pub mod closed_loop;
pub mod pgbench;

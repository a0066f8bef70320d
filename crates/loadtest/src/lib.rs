//! Shared by the benchmarks: clients in a closed loop, pgbench, the figures that both give, and CPU times.

pub mod closed_loop;
pub mod cpu;
pub mod pgbench;

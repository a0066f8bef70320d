//! What the benchmarks share: clients in a closed loop, pgbench, the figures that both give, and who used the CPU.

pub mod closed_loop;
pub mod cpu;
pub mod pgbench;

//! Runs the whole system on one machine, without Docker.
//!
//! * [`cli`] is what one may type.
//! * [`settings`] says which ports and which directory; [`place`] what lies where in it.
//! * [`preflight`] names everything that stands in the way, before anything starts.
//! * [`up`] starts [`daemon`], which brings up the [`parts`] and keeps them running ([`supervise`]);
//!   what it does is on the [`board`], a file that every other command reads.
//! * [`process`] starts, identifies and ends processes; [`ready`] asks whether they are of use.
//! * [`down`], [`status`], [`logs`], [`exec`] are the other commands.
//! * [`versions`] runs another program as a service, and takes the one before back.
//! * [`chaos`] breaks something, and shows what becomes of it.
//! * [`demo`] tells a member's story over the public APIs.

pub mod board;
pub mod chaos;
pub mod cli;
pub mod daemon;
pub mod demo;
pub mod down;
pub mod exec;
pub mod logs;
pub mod parts;
pub mod place;
pub mod ports;
pub mod preflight;
pub mod process;
pub mod ready;
pub mod settings;
pub mod status;
pub mod supervise;
pub mod tools;
pub mod up;
pub mod versions;

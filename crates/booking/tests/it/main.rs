//! Bookings from outside, over both transports, each test on a database of its own.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod app;
mod archive;
mod calendar;
mod complete;
mod distribution;
mod errors;
mod fairness;
mod granting;
mod guard;
mod holds;
mod journeys;
mod lifecycle;
mod line;
mod line_channel;
mod line_order;
mod list;
mod membership;
mod merchants;
mod metrics;
mod paying;
mod payment_terms;
mod payment_worth;
mod repeat;
mod replica;
mod reschedule;
mod rewards;
mod rezone;
mod roles;
mod saga_faults;
mod saga_model;
mod saga_world;
mod schema;
mod search;
mod slot_model;
mod slots;
mod standby;
mod storm;

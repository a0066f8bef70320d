//! What may be an address, a password and a name, how many guesses one gets, and how long a session lasts.

mod actor;
mod audience;
mod client;
mod code;
mod device;
mod email;
mod name;
mod network;
mod password;
mod refresh;

use std::time::Duration;

pub use actor::Actor;
pub use audience::Audience;
pub use client::{Client, DeviceToken};
pub use code::Code;
pub use device::Device;
pub use email::{Email, InvalidEmail};
pub use name::{DisplayName, InvalidName};
pub use network::Network;
pub use password::{Guess, InvalidPassword, Password};
pub use refresh::{GRACE, IDLE_LIFE, RefreshToken, Renewable, Renewal, SESSION_LIFE};

/// How many wrong guesses a stranger's network, or a known device, gets at one address in a [`WINDOW`].
pub const ATTEMPTS: i32 = 5;

/// How many all strangers together get. More than one network's, or one would lock out all others.
pub const STRANGERS_ATTEMPTS: i32 = 20;

/// Begins with the first guess, and doubles each time it was used up, up to 16 hours. Refused guesses do
/// not prolong it, or anybody could lock out the owner for ever.
pub const WINDOW: Duration = Duration::from_mins(15);

/// How long a device is known after the last time somebody signed in on it.
pub const DEVICE_LIFE: Duration = Duration::from_hours(90 * 24);

/// How many devices of one member are known: those that were used last.
pub const DEVICES: i64 = 10;

/// How long an access token is valid: what a stolen one is worth.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(5);

/// How long a service's token is valid.
pub const SERVICE_TOKEN_LIFE: Duration = Duration::from_mins(5);

//! The rules for addresses, passwords and names, for the number of guesses, and for the life of a session.

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
pub use code::{Code, Purpose};
pub use device::Device;
pub use email::{Email, InvalidEmail};
pub use name::{DisplayName, InvalidName};
pub use network::Network;
pub use password::{Guess, InvalidPassword, Password};
pub use refresh::{GRACE, IDLE_LIFE, RefreshToken, Renewable, Renewal, SESSION_LIFE};

/// Wrong guesses that a stranger's network, or a known device, gets at one address in a [`WINDOW`].
pub const ATTEMPTS: i32 = 5;

/// Wrong guesses that all strangers together get. More than one network's, so that one network cannot lock out all
/// others.
pub const STRANGERS_ATTEMPTS: i32 = 20;

/// The time that guesses are counted for. It begins with the first guess, and doubles each time the count was used
/// up, to at most 16 hours. Refused guesses do not prolong it: otherwise anybody could lock out the owner for ever.
pub const WINDOW: Duration = Duration::from_mins(15);

/// The time that a device is known after the last login on it.
pub const DEVICE_LIFE: Duration = Duration::from_hours(90 * 24);

/// The number of devices known for one member: the last used.
pub const DEVICES: i64 = 10;

/// The life of an access token, and so the time for which a stolen one is of use.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(5);

/// The life of a service's token.
pub const SERVICE_TOKEN_LIFE: Duration = Duration::from_mins(5);

//! What may be an address, a password and a name, how many guesses one gets, and how long a session lasts.

mod device;
mod email;
mod name;
mod password;
mod refresh;

use std::time::Duration;

pub use device::Device;
pub use email::{Email, InvalidEmail};
pub use name::{DisplayName, InvalidName};
pub use password::{Guess, InvalidPassword, Password};
pub use refresh::{GRACE, IDLE_LIFE, RefreshToken, Renewable, Renewal, SESSION_LIFE};

/// How many wrong guesses one address gets in a [`WINDOW`].
pub const ATTEMPTS: i32 = 5;

/// Begins with the first guess. Refused guesses do not prolong it, or anybody could lock out the
/// owner for ever.
pub const WINDOW: Duration = Duration::from_mins(15);

/// How long an access token is valid: what a stolen one is worth.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(5);

/// How long a service's token is valid.
pub const SERVICE_TOKEN_LIFE: Duration = Duration::from_mins(5);

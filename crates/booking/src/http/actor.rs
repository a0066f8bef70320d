//! The caller of a request as the actor of a use case.

use kit::caller::Role;
use kit::{ApiError, Caller};

use crate::domain::{Actor, Owner};

/// The roles that let a member act for their merchants. Without them, the owner acts as a plain member.
const OWNERS: [Role; 2] = [Role::MerchantAdmin, Role::Operator];

impl Actor {
    pub(super) fn of(caller: &Caller) -> Self {
        Owner::of(caller).map_or(Self::Member(caller.id), Self::Owner)
    }
}

impl Owner {
    /// Refuses a caller without the role.
    pub(super) fn of(caller: &Caller) -> Result<Self, ApiError> {
        caller.require(&OWNERS)?;
        Ok(Self::new(caller.id))
    }
}

//! The caller of a use case: a member, and an owner only with the role. A member who loses the role acts as a plain
//! member with their next token.

use kit::caller::Role;
use kit::{ApiError, Caller};
use uuid::Uuid;

/// Roles with which the owner of a merchant may act for it.
const OWNERS: [Role; 2] = [Role::MerchantAdmin, Role::Operator];

/// Somebody who may own a merchant. Whether this one is theirs the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(Uuid);

impl Owner {
    /// Refuses, with 403, whoever does not have the role.
    pub fn of(caller: &Caller) -> Result<Self, ApiError> {
        caller.require(&OWNERS)?;
        Ok(Self(caller.id))
    }

    /// The member that an operator names on the command line.
    pub fn named(member: Uuid) -> Self {
        Self(member)
    }

    pub fn id(self) -> Uuid {
        self.0
    }
}

/// Somebody who asks about a booking: its member, or the owner of its merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    member: Uuid,
    owner: Option<Owner>,
}

impl By {
    /// As an owner too, when they have the role for it.
    pub fn of(caller: &Caller) -> Self {
        Self { member: caller.id, owner: Owner::of(caller).ok() }
    }

    /// As the member alone.
    pub fn member(member: Uuid) -> Self {
        Self { member, owner: None }
    }

    pub fn id(self) -> Uuid {
        self.member
    }

    /// As whose owner they may act.
    pub fn owner(self) -> Option<Uuid> {
        self.owner.map(Owner::id)
    }

    /// True when they act as the owner and this is the merchant's owner.
    pub fn owns(self, owner: Option<Uuid>) -> bool {
        owner.is_some() && self.owner() == owner
    }
}

impl From<Owner> for By {
    fn from(owner: Owner) -> Self {
        Self { member: owner.id(), owner: Some(owner) }
    }
}

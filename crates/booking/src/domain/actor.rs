//! The callers of use cases.

use uuid::Uuid;

/// The member who asks. Without a role for it, even the owner of a merchant acts as a plain member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Acts on their own bookings.
    Member(Uuid),
    /// Acts on their own bookings and on those of their merchants.
    Owner(Owner),
}

/// A member whose role lets them act for the merchants that they own. The database says which ones these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(Uuid);

impl Actor {
    /// Returns the id of the member.
    pub fn id(self) -> Uuid {
        match self {
            Self::Member(id) | Self::Owner(Owner(id)) => id,
        }
    }

    /// Returns the owner whose merchants the member may act for.
    pub fn owner(self) -> Option<Owner> {
        match self {
            Self::Member(_) => None,
            Self::Owner(owner) => Some(owner),
        }
    }

    /// Returns `true` when the member may act for the merchant of this owner. A closed merchant has none.
    pub fn owns(self, owner: Option<Uuid>) -> bool {
        owner.is_some() && self.owner().map(Owner::id) == owner
    }
}

impl Owner {
    /// Takes the id of a member who has the role.
    pub fn new(member: Uuid) -> Self {
        Self(member)
    }

    pub fn id(self) -> Uuid {
        self.0
    }
}

impl From<Owner> for Actor {
    fn from(owner: Owner) -> Self {
        Self::Owner(owner)
    }
}

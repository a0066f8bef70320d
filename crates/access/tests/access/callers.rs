//! The callers of the matrix.

use chrono::TimeDelta;
use kit::Clock;
use kit::caller::Role;
use testkit::tokens::Issuer;
use uuid::Uuid;

use crate::worlds::Thing;

/// The columns of a table of routes. `owner` is the member who owns the thing, and `shop` the merchant it was bought
/// from; all others are strangers to it.
pub const ROUTES: &[&str] =
    &["nobody", "expired", "service", "member", "staff", "merchant", "operator", "owner", "shop"];

/// The columns of a table of methods. `inspector` is a client that no deployment has.
pub const METHODS: &[&str] = &[
    "nobody",
    "expired",
    "member",
    "auth",
    "booking",
    "incidents",
    "points",
    "inspector",
    "other",
];

/// The token of a caller of routes.
pub fn token(issuer: &Issuer, caller: &str, thing: &Thing) -> Option<String> {
    let stranger = Clock::system().id();
    Some(match caller {
        "nobody" => return None,
        "expired" => issuer.expired(thing.owner),
        "service" => issuer.service("booking"),
        "member" => issuer.member(stranger),
        "staff" => issuer.with_roles(stranger, &[Role::Member, Role::Staff]),
        "merchant" => issuer.with_roles(stranger, &[Role::Member, Role::MerchantAdmin]),
        "operator" => issuer.with_roles(stranger, &[Role::Member, Role::Operator]),
        "owner" => issuer.member(thing.owner),
        "shop" => issuer.with_roles(thing.shop, &[Role::Member, Role::MerchantAdmin]),
        unknown => panic!("nobody is called {unknown}"),
    })
}

/// The token of a caller of methods.
pub fn service_token(issuer: &Issuer, now: &Clock, caller: &str) -> Option<String> {
    Some(match caller {
        "nobody" => return None,
        "expired" => Issuer::at(Clock::fixed(now.now() - TimeDelta::hours(1))).service("booking"),
        "member" => issuer.member(Uuid::from_u128(1)),
        name => issuer.service(name),
    })
}

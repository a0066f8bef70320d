//! Everybody who may come.

use chrono::TimeDelta;
use kit::Clock;
use kit::caller::Role;
use testkit::tokens::Issuer;
use uuid::Uuid;

use crate::worlds::Thing;

/// The columns of a table of routes. `owner` is the member whose thing it is, and `shop` the merchant it
/// was bought from; all others have nothing to do with it.
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

/// What this caller brings to a route.
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

/// What this caller brings to a method.
pub fn service_token(issuer: &Issuer, now: &Clock, caller: &str) -> Option<String> {
    Some(match caller {
        "nobody" => return None,
        "expired" => Issuer::at(Clock::fixed(now.now() - TimeDelta::hours(1))).service("booking"),
        "member" => issuer.member(Uuid::from_u128(1)),
        name => issuer.service(name),
    })
}

//! Each service with a thing of a member in it.

mod auth;
mod booking;
mod incidents;
mod points;

use std::collections::HashMap;

use ::axum::Router;
use serde_json::{Map, Value};
use testkit::http::Reply;
use testkit::tokens::Issuer;
use uuid::Uuid;

pub use self::auth::Auth;
pub use self::booking::Booking;
pub use self::incidents::Incidents;
pub use self::points::Points;

pub trait World {
    fn router(&self) -> &Router;
    fn issuer(&self) -> &Issuer;
    /// Creates a thing, new for every call, so that no call changes the thing of the next.
    async fn thing(&self) -> Thing;
}

/// A resource of one member, and the ids and bodies to ask for it.
#[derive(Default)]
pub struct Thing {
    pub owner: Uuid,
    /// The merchant, where there is one.
    pub shop: Uuid,
    /// The ids in paths, by the segment before them: `accounts` for `/accounts/{id}`.
    pub ids: HashMap<&'static str, String>,
    /// The values of body fields whose type does not determine them.
    pub fields: Map<String, Value>,
    /// The bodies of routes whose schema does not determine them.
    pub bodies: HashMap<&'static str, Value>,
    /// The queries that routes need.
    pub queries: HashMap<&'static str, String>,
}

impl Thing {
    pub fn path(&self, route: &str) -> String {
        let mut before = "";
        let mut path = String::new();
        for segment in route.split('/').skip(1) {
            path.push('/');
            if segment.starts_with('{') {
                let id = self.ids.get(before);
                path.push_str(id.unwrap_or_else(|| panic!("{route}: what is a {before}?")));
            } else {
                path.push_str(segment);
            }
            before = segment;
        }
        match self.queries.get(route) {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }
    }
}

fn id(reply: &Reply, name: &str) -> String {
    reply.json()[name].as_str().unwrap_or_else(|| panic!("{name}: {}", reply.text())).to_owned()
}

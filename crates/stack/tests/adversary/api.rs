//! The public routes, as the running services describe them.

use std::collections::BTreeMap;

use reqwest::{Client, Method};
use serde_json::Value;
use stack::ports::SERVICES;

use crate::bench::Bench;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub place: Place,
    pub required: bool,
    pub schema: Value,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub service: &'static str,
    pub method: Method,
    /// With its parameters in braces.
    pub path: String,
    pub params: Vec<Param>,
    pub body: Option<Value>,
    /// The schema of each answer; `default` is 0.
    pub answers: BTreeMap<u16, Option<Value>>,
    /// Asks for no token.
    pub is_open: bool,
}

impl Route {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The names of the parameters in the path, in order.
    pub fn slots(&self) -> Vec<String> {
        let segments = self.path.split('/');
        let slot = |s: &str| s.strip_prefix('{')?.split('}').next().map(str::to_owned);
        segments.filter_map(slot).collect()
    }

    /// The kind of the id in this slot of the path: `account_id` of `/v1/accounts/{id}`.
    pub fn kind_of(&self, slot: &str) -> String {
        if slot.ends_with("_id") {
            return slot.to_owned();
        }
        if slot != "id" {
            return format!("{slot}_id");
        }
        let before = self.path.split("/{id}").next().unwrap_or_default();
        let word = before.rsplit(['/', '-']).next().unwrap_or_default();
        format!("{}_id", word.trim_end_matches('s'))
    }

    pub fn changes_something(&self) -> bool {
        self.method != Method::GET
    }
}

pub struct Api {
    documents: BTreeMap<&'static str, Value>,
    pub routes: Vec<Route>,
}

impl Api {
    pub async fn load(bench: &Bench, client: &Client) -> Self {
        let mut api = Self { documents: BTreeMap::new(), routes: Vec::new() };
        for service in SERVICES {
            let url = bench.url(service, "/openapi.json");
            let document: Value = client.get(url).send().await.unwrap().json().await.unwrap();
            api.routes.extend(routes(service, &document));
            api.documents.insert(service, document);
        }
        api
    }

    /// The route of this name, when the service has it.
    pub fn find(&self, service: &str, name: &str) -> Option<usize> {
        self.routes.iter().position(|r| r.service == service && r.name() == name)
    }

    /// The schema itself, where it is a reference.
    pub fn resolve<'a>(&'a self, service: &str, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => {
                let found = self.documents[service].pointer(name.trim_start_matches('#'));
                self.resolve(service, found.unwrap_or_else(|| panic!("{service}: {name}")))
            }
            None => schema,
        }
    }

    /// Every property of an object's schema, those of its parts included.
    pub fn properties<'a>(&'a self, service: &str, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let schema = self.resolve(service, schema);
        let own = schema["properties"].as_object().into_iter().flatten();
        let mut all: Vec<_> = own.map(|(name, schema)| (name.as_str(), schema)).collect();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            all.extend(self.properties(service, part));
        }
        all
    }
}

fn routes(service: &'static str, document: &Value) -> Vec<Route> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let answers = operation["responses"].as_object().unwrap();
            found.push(Route {
                service,
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                params: parameters.map(param).collect(),
                body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
                answers: answers.iter().map(|(status, answer)| answer_of(status, answer)).collect(),
                is_open: operation["security"] == serde_json::json!([{}]),
            });
        }
    }
    found
}

fn param(given: &Value) -> Param {
    let place = match given["in"].as_str().unwrap() {
        "path" => Place::Path,
        "query" => Place::Query,
        _ => Place::Header,
    };
    Param {
        name: given["name"].as_str().unwrap().to_owned(),
        place,
        required: given["required"] == true,
        schema: given["schema"].clone(),
    }
}

fn answer_of(status: &str, answer: &Value) -> (u16, Option<Value>) {
    let content = answer["content"].as_object().and_then(|content| content.values().next());
    (status.parse().unwrap_or(0), content.map(|content| content["schema"].clone()))
}

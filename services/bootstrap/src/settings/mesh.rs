//! How the values of the adapter are written: names, Redis nodes, routing, encoding.

use std::collections::BTreeSet;

use wsmesh_adapter::{Bus, ClusterId, Encoding, Namespace, NodeUrl, Routing, ServerName, Strategy};

use super::{Field, Raw, Shape, Shown, Value};

impl Value for ServerName {
    const HINT: &'static str = "NAME";

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

/// May be empty.
impl Value for ClusterId {
    const HINT: &'static str = "ID";

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl Value for Namespace {
    const HINT: &'static str = "NAME";

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

/// Shown without credentials.
impl Value for NodeUrl {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// Written as the URLs of its Redis nodes. Without any, the server runs alone.
impl Field for Bus {
    const SHAPE: Shape = Shape::Many;
    const HINT: &'static str = <NodeUrl as Value>::HINT;

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let nodes = Vec::<NodeUrl>::read(raw)?;
        if nodes.is_empty() {
            return Ok(Self::Alone);
        }
        let mut ids = BTreeSet::new();
        let double = nodes.iter().filter(|node| !ids.insert(node.id()));
        let problems: Vec<_> = double
            .map(|node| format!("two nodes have the id {}: give each its own behind #", node.id()))
            .collect();
        if problems.is_empty() {
            Ok(Self::Redis(nodes))
        } else {
            Err(problems)
        }
    }

    fn show(&self) -> Shown {
        match self {
            Self::Redis(nodes) => nodes.show(),
            _ => Shown::Plain(toml::Value::Array(Vec::new())),
        }
    }
}

/// Only the kind: the prefixes of shared routing are settings of their own.
impl Value for Routing {
    const HINT: &'static str = "direct|shared";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "direct" => Ok(Self::Direct),
            "shared" => Ok(Self::Shared {
                bridge_prefix: String::new(),
                ws_prefix: String::new(),
            }),
            _ => Err(super::not_a_choice::<Self>(text, "routing")),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let word = match self {
            Self::Direct => "direct",
            Self::Shared { .. } => "shared",
        };
        Some(word.into())
    }
}

crate::choices!(
    Strategy, "strategy",
    "ordered" => Strategy::Ordered,
    "random" => Strategy::Random,
    "round-robin" => Strategy::RoundRobin,
    "fastest" => Strategy::Fastest,
);

crate::choices!(Encoding, "encoding", "msgpack" => Encoding::Msgpack, "json" => Encoding::Json);

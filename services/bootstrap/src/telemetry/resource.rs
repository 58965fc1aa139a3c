//! Who sends traces, metrics and logs: the attributes of a server that the variables do not set.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// Attributes that the variables give. The SDK reads them, and they have priority.
#[derive(Debug, Clone)]
pub(crate) struct Given(Vec<String>);

impl Given {
    /// Reads the variables.
    pub(crate) fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let pairs = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(',');
        let mut keys: Vec<String> = pairs
            .filter_map(|pair| Some(pair.split_once('=')?.0.trim().to_owned()))
            .collect();
        if variable("OTEL_SERVICE_NAME").is_some() {
            keys.push("service.name".to_owned());
        }
        Self(keys)
    }

    /// What else tells a server apart.
    pub(crate) fn attributes(&self, service: &str, name: &str) -> Vec<KeyValue> {
        let ours = [
            ("service.name", service),
            ("service.instance.id", name),
            ("service.version", crate::VERSION),
        ];
        let missing = ours
            .into_iter()
            .filter(|(key, _)| !self.0.iter().any(|given| given == key));
        missing
            .map(|(key, value)| KeyValue::new(key, value.to_owned()))
            .collect()
    }

    /// All attributes of a server.
    pub(crate) fn resource(&self, service: &str, name: &str) -> Resource {
        Resource::builder()
            .with_attributes(self.attributes(service, name))
            .build()
    }
}

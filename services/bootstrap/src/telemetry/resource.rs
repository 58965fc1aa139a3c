//! Who sends traces, metrics and logs: the attributes of a server that the variables do not set.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use super::collector::add;

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Attributes that the variables give. The SDK reads them, and they have priority.
#[derive(Debug, Clone)]
pub(crate) struct Given(Vec<String>);

impl Given {
    /// Reads the variables. The SDK ignores what is no pair of key and value, so that is a problem.
    pub(crate) fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> Self {
        let pairs = variable(ATTRIBUTES).unwrap_or_default().split(',');
        let pairs = pairs.filter(|pair| !pair.trim().is_empty());
        let key = |pair: &str| Some(pair.split_once('=')?.0.trim().to_owned()).filter(|key| !key.is_empty());
        let keys: Option<Vec<String>> = pairs.map(key).collect();
        if keys.is_none() {
            let problem = format!("{ATTRIBUTES}: write KEY=VALUE, several with commas in between");
            add(problems, problem);
        }
        let mut keys = keys.unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pair_of_key_and_value_is_told_once() {
        for (text, is_wrong) in [
            ("foo", true),
            ("a=b,foo", true),
            ("=b", true),
            ("a=b,,c=d", false),
            ("a=b,", false),
            ("a=, b = c=d", false),
            ("", false),
        ] {
            let mut problems = Vec::new();
            for _signal in 0..3 {
                Given::read(|key| (key == ATTRIBUTES).then_some(text), &mut problems);
            }
            assert_eq!(problems.len(), usize::from(is_wrong), "{text}: {problems:?}");
            assert!(
                problems.iter().all(|problem| problem.contains("write KEY=VALUE")),
                "{problems:?}"
            );
        }
    }
}

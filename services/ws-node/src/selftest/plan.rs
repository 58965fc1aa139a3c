//! What is to be tried, from the command line and the settings of ws-node: where, as which client, with which token, on which bus.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ArgMatches;
use prometheus::Registry;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, Value};
use wsmesh_adapter::{Bus, ClientId, Instance, Options, ServerName, Strategy};

use super::{CA_FILE, EACH_NODE, SELFTEST, TOKEN_FILE, URL, WITHIN};
use crate::config::Config;

/// How long the token is valid that is made for the test.
const TOKEN_TIME: Duration = Duration::from_secs(300);

const NO_TOKEN: &str = "there is no token to connect with: name the file of one with --token-file, or the secret that signs \
                        tokens with --jwt-key-file";

/// What is to be tried.
pub(super) struct Plan {
    /// How the client connects.
    pub(super) connector: wsmesh_connector::Options,
    /// Its id.
    pub(super) client: ClientId,
    /// How the bus is visited.
    pub(super) options: Options,
    pub(super) through_each_node: bool,
    /// Longest time for everything.
    pub(super) within: Duration,
}

impl Plan {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no token, a file cannot be used, or no Redis node is set.
    pub(super) fn read(arguments: &ArgMatches, config: &Config) -> anyhow::Result<Self> {
        let url = arguments.get_one::<String>(URL).context("--url is needed")?;
        let within = arguments.get_one(WITHIN).copied().context("--within is needed")?;
        let file = |name: &str| arguments.get_one::<std::path::PathBuf>(name);
        let mut connector = wsmesh_connector::Options::new(url);
        if let Some(file) = file(CA_FILE) {
            connector.tls = Some(trusting(file)?);
        }
        let (client, connector) = known(config, file(TOKEN_FILE).map(AsRef::as_ref), connector)?;
        Ok(Self {
            connector,
            client,
            options: visiting(config)?,
            through_each_node: arguments.get_flag(EACH_NODE),
            within,
        })
    }
}

/// The client that connects, and how it proves who it is.
fn known(
    config: &Config,
    token_file: Option<&Path>,
    connector: wsmesh_connector::Options,
) -> anyhow::Result<(ClientId, wsmesh_connector::Options)> {
    let auth = &config.settings.auth;
    let (client, token) = match token_file {
        Some(file) => {
            let shown = file.display();
            let token = std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
            let token = token.trim().to_owned();
            let problem = || {
                format!(
                    "{shown} holds no token with the claim {:?}, the client's id",
                    auth.id_claim
                )
            };
            (claimed(&token, &auth.id_claim).with_context(problem)?, token)
        }
        None => {
            let client = ClientId::new(own_name())?;
            if config.settings.demo {
                return Ok((client.clone(), connector.param("id", client.as_str())));
            }
            ensure!(auth.jwt_key.is_some(), NO_TOKEN);
            let token = auth.mint(client.as_str(), TOKEN_TIME).map_err(anyhow::Error::msg)?;
            (client, token)
        }
    };
    let provider = move || std::future::ready(Ok::<_, std::convert::Infallible>(token.clone()));
    Ok((client, connector.token(provider)))
}

/// A name that no other test has.
fn own_name() -> String {
    format!("{SELFTEST}-{:06x}", Instance::now().0 & 0x00ff_ffff)
}

/// The id in a token. Whether the token is good is for the server to say.
fn claimed(token: &str, id_claim: &str) -> Option<ClientId> {
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&body).ok()?;
    match claims.get(id_claim)? {
        Value::String(text) => ClientId::new(text.as_str()).ok(),
        Value::Number(number) => ClientId::new(number.to_string()).ok(),
        _ => None,
    }
}

/// The usual roots, and the certificates of a file.
fn trusting(file: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let problem = || format!("{} cannot be used: it must be certificates in PEM", file.display());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let certificates = CertificateDer::pem_file_iter(file).with_context(problem)?;
    for certificate in certificates {
        roots.add(certificate.with_context(problem)?).with_context(problem)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// How the bus is visited: by a server that nobody counts, whose messages go where their key says.
fn visiting(config: &Config) -> anyhow::Result<Options> {
    let options = config.common.adapter_options(SELFTEST, Registry::new());
    ensure!(
        !matches!(options.bus, Bus::Alone),
        "no Redis node is set (--redis, WSMESH_REDIS), so there is no bus to send messages through"
    );
    Ok(Options {
        name: ServerName::new(own_name())?,
        visiting: true,
        strategy: Strategy::Ordered,
        ..options
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_token_is_read_whatever_the_signature_and_nonsense_has_none() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let id = |token: &str| claimed(token, "sub").map(|id| id.to_string());
        assert_eq!(id(&token(r#"{"sub":"ann"}"#)).as_deref(), Some("ann"));
        assert_eq!(id(&token(r#"{"sub":7}"#)).as_deref(), Some("7"));
        for nonsense in ["", "a.b.c", "e30", &token("{}"), &token(r#"{"sub":""}"#), &token("[]")] {
            assert_eq!(id(nonsense), None, "{nonsense}");
        }
    }
}

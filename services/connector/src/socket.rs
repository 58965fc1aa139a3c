//! From options to an open WebSocket: the upgrade request, TLS, small buffers, refused upgrades.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::UrlError;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use crate::token::unfit;
use crate::{ConnectionError, Options, OptionsError, TokenIn};

/// An open connection.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The buffers of each direction. Memory per connection matters more than the speed of large messages; buffers grow when needed.
const BUFFER_BYTES: usize = 4 * 1024;
/// How much of the body of a refused upgrade is kept, in characters.
const REFUSAL_CHARS: usize = 200;

/// Everything that an attempt to reach one server needs, checked once.
pub(crate) struct Dialer {
    request: Request,
    tls: Connector,
    config: WebSocketConfig,
    token_in: TokenIn,
    limit: Duration,
}

impl Dialer {
    pub(crate) fn new(options: &Options, url: &str) -> Result<Self, OptionsError> {
        let url = options.full_url(url)?;
        let secure = url.scheme() == "wss";
        let request = url.as_str().into_client_request();
        let mut request = request.map_err(|error| OptionsError::Request(Box::new(error)))?;
        for (name, value) in &options.headers {
            let (Ok(key), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(OptionsError::Header(name.clone()));
            };
            request.headers_mut().append(key, value);
        }
        let tls = match &options.tls {
            _ if !secure => Connector::Plain,
            Some(config) => Connector::Rustls(Arc::clone(config)),
            None => Connector::Rustls(default_tls()?),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(options.max_message_size))
            .max_frame_size(Some(options.max_message_size));
        Ok(Self {
            request,
            tls,
            config,
            token_in: options.token_in,
            limit: options.connect_timeout,
        })
    }

    /// One attempt. It carries the token, unless that goes into the first message.
    pub(crate) async fn dial(&self, token: Option<&str>) -> Result<Socket, ConnectionError> {
        let mut request = self.request.clone();
        match (token, self.token_in) {
            (None, _) | (_, TokenIn::Message) => {}
            (Some(token), TokenIn::Header) => {
                let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}")) else {
                    return Err(unfit(
                        "it contains characters that a header cannot have, for example a line break",
                    ));
                };
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            (Some(token), TokenIn::Query) => *request.uri_mut() = with_token(request.uri(), token)?,
        }
        match self.open(request).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(response)) => Err(refused(&response)),
            Err(error) => Err(ConnectionError::transport(error)),
        }
    }

    async fn open(&self, request: Request) -> Result<(Socket, Response), Error> {
        let uri = request.uri();
        let host = uri.host().ok_or(Error::Url(UrlError::NoHostName))?;
        let default_port = if matches!(self.tls, Connector::Plain) { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default_port);
        let stream = wsmesh_dial::connect(host, port, self.limit).await.map_err(Error::Io)?;
        stream.set_nodelay(true).map_err(Error::Io)?;
        client_async_tls_with_config(request, stream, Some(self.config), Some(self.tls.clone())).await
    }
}

fn with_token(uri: &Uri, token: &str) -> Result<Uri, ConnectionError> {
    let whole = Url::parse(&uri.to_string()).ok().and_then(|mut url| {
        url.query_pairs_mut().append_pair("token", token);
        url.as_str().parse().ok()
    });
    whole.ok_or_else(|| unfit("it is too long for a URL"))
}

fn refused(response: &Response) -> ConnectionError {
    let body = response.body().as_deref().unwrap_or_default();
    let seconds = response.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    ConnectionError::Refused {
        status: response.status().as_u16(),
        text: String::from_utf8_lossy(body)
            .trim()
            .chars()
            .take(REFUSAL_CHARS)
            .collect(),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// The configuration for all clients of the process without their own, created when it is first needed. It uses a fixed crypto
/// provider, so that none must be installed for the process.
fn default_tls() -> Result<Arc<rustls::ClientConfig>, OptionsError> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(OptionsError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

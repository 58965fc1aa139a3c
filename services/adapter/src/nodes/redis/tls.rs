//! TLS to a Redis: rustls with the certificates that the URL names. The files are read again at every connection attempt.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::nodes::files::{FromFiles, NamedFile};
use crate::nodes::url::NodeUrl;

/// How connections to a node are encrypted. It is made anew only when a file changed: sessions are resumed until then.
pub(super) type Tls = FromFiles<Arc<ClientConfig>>;

/// For the URL of a node with TLS. Reads nothing yet.
pub(super) fn tls(url: &NodeUrl) -> Tls {
    let named = |what, path: &Path| NamedFile {
        what,
        path: path.to_owned(),
    };
    let ca = url.ca_file().map(|path| named("CA file", path));
    let has_ca = ca.is_some();
    let identity = url.identity().map(|files| {
        [
            named("client certificate", &files.certificate),
            named("key", &files.key),
        ]
    });
    let files = ca.into_iter().chain(identity.into_iter().flatten());
    FromFiles::new(files.collect(), move |files, contents| {
        let mut files = files.iter().zip(contents);
        let ca = if has_ca { files.next() } else { None };
        config(ca, files.next().zip(files.next())).map(Arc::new)
    })
}

/// A file, and what is in it.
type Read<'a> = (&'a NamedFile, &'a Vec<u8>);

fn config(ca: Option<Read<'_>>, identity: Option<(Read<'_>, Read<'_>)>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(ca)?);
    let Some((certificate, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    builder
        .with_client_auth_cert(chain, private_key(key)?)
        .map_err(|error| certificate.0.unusable(&error))
}

fn roots(ca: Option<Read<'_>>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| file.0.unusable(&error))?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this system has no root certificates: install them (Debian: ca-certificates) or name a CA \
                    file in the URL (?ca=FILE)"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// The key of the certificate that this server presents to a Redis that requires one.
fn private_key((file, pem): Read<'_>) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => file.unusable(&"it has no private key in PEM form"),
        error => file.unusable(&error),
    })
}

fn certificates((file, pem): Read<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| file.unusable(&error))?;
    match certificates.is_empty() {
        true => Err(file.unusable(&"it has no certificate in PEM form")),
        false => Ok(certificates),
    }
}

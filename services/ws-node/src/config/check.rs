//! What is wrong with settings that are written otherwise than the edge has them, in sentences that say what to write
//! instead.

use std::net::IpAddr;

use ipnet::IpNet;
use wsmesh_adapter::Namespace;
use wsmesh_bootstrap::Problems;

use super::NodeSettings;
use crate::tls::TlsFiles;

pub(super) fn tls(settings: &NodeSettings, problems: &mut Problems) -> Option<TlsFiles> {
    let files = match (&settings.tls_certificate_file, &settings.tls_key_file) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        (Some(_), None) => {
            problems.about("tls_key_file", "is missing: a certificate needs its private key");
            return None;
        }
        (None, Some(_)) => {
            problems.about(
                "tls_certificate_file",
                "is missing: a private key needs its certificate",
            );
            return None;
        }
    };
    if let Err(problem) = files.acceptor() {
        problems.about("tls_certificate_file", problem);
    }
    Some(files)
}

pub(super) fn networks(texts: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in texts {
        // A single address is a network of one.
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => networks.push(network),
            Err(_) => problems.about(
                "trusted_proxies",
                format!("{text:?} is no network: write ADDRESS/BITS, for example 10.0.0.0/8"),
            ),
        }
    }
    networks
}

pub(super) fn rooms(names: &[String], problems: &mut Problems) -> Vec<Namespace> {
    let mut checked = Vec::new();
    for name in names {
        match Namespace::new(name) {
            Ok(namespace) => checked.push(namespace),
            Err(error) => problems.about("client_rooms", error.to_string()),
        }
    }
    checked
}

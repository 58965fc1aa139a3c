//! Signs tokens, with keys made by openssl as the README says.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wsmesh_bootstrap::{Secret, SecretFile};

pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    encoding: EncodingKey,
    /// The file that verifies its tokens: PEM, or the secret.
    pub(crate) file: String,
    pub(crate) kid: Option<&'static str>,
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn openssl(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is needed for this test: install the package openssl");
    child.stdin.take().expect("piped").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments}");
    output.stdout
}

impl Signer {
    pub(crate) fn secret(secret: &str) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            file: secret.to_owned(),
            kid: None,
        }
    }

    pub(crate) fn rsa() -> Self {
        let private = openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", b"");
        let der = openssl("rsa -traditional -outform DER", &private);
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_der(&der), &private)
    }

    pub(crate) fn p256() -> Self {
        let private = openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", b"");
        let der = openssl("pkcs8 -topk8 -nocrypt -outform DER", &private);
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(&der), &private)
    }

    pub(crate) fn ed25519() -> Self {
        let private = openssl("genpkey -algorithm ed25519", b"");
        let der = openssl("pkcs8 -topk8 -nocrypt -outform DER", &private);
        Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(&der), &private)
    }

    fn new(algorithm: Algorithm, encoding: EncodingKey, private: &[u8]) -> Self {
        let public = openssl("pkey -pubout", private);
        Self {
            algorithm,
            encoding,
            file: String::from_utf8(public).expect("PEM"),
            kid: None,
        }
    }

    pub(crate) fn named(mut self, kid: &'static str) -> Self {
        self.kid = Some(kid);
        self
    }

    pub(crate) fn key_file(&self) -> SecretFile {
        SecretFile::from_secret(Secret::new(self.file.clone()))
    }

    /// Its public key, as a JWKS lists it.
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).expect("a key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(self.kid);
        jwk
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = self.kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.encoding).expect("signs")
    }

    /// A valid token for this client, with these further claims.
    pub(crate) fn token(&self, client: &str, more: Value) -> String {
        let mut claims = json!({"sub": client, "exp": now() + 3600});
        for (key, value) in more.as_object().expect("claims") {
            claims[key] = value.clone();
        }
        self.sign(&claims)
    }
}

//! What is to be checked out, with the credential taken out of the URL.

use std::path::PathBuf;

use super::CheckoutError;
use crate::spec::GitAuth;

/// The user that token credentials belong to when none is named.
const TOKEN_USER: &str = "x-access-token";

/// A commit of a repository.
#[derive(Debug)]
pub(super) struct Source {
    /// Without user and password.
    pub(super) url: String,
    /// Branch or tag without `refs/heads/` or `refs/tags/`, or another full ref name; may be empty.
    pub(super) reference: String,
    /// Empty: whatever `reference` points to.
    pub(super) sha: String,
    pub(super) credential: Credential,
}

/// How git proves who it is.
pub(super) enum Credential {
    None,
    /// A header for HTTP.
    Basic {
        user: String,
        secret: String,
    },
    /// A key for SSH.
    Ssh {
        key: String,
        known_hosts: Option<String>,
    },
    /// Something this program does not know.
    Unknown {
        kind: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Ssh { .. } => "Ssh",
            Self::Unknown { .. } => "Unknown",
        })
    }
}

impl Source {
    pub(super) fn new(url: &str, reference: &str, sha: &str, auth: Option<&GitAuth>) -> Self {
        let (url, from_url) = split_credential(url);
        let credential = auth.map_or_else(|| from_url.unwrap_or(Credential::None), Credential::of);
        let reference = ["refs/heads/", "refs/tags/"]
            .iter()
            .find_map(|prefix| reference.strip_prefix(prefix))
            .unwrap_or(reference);
        Self {
            reference: reference.to_owned(),
            sha: if sha.eq_ignore_ascii_case("HEAD") { String::new() } else { sha.to_lowercase() },
            url,
            credential,
        }
    }

    /// The full object id, if one is wanted.
    pub(super) fn full_sha(&self) -> Option<&str> {
        let full = matches!(self.sha.len(), 40 | 64)
            && self.sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        full.then_some(self.sha.as_str())
    }

    /// What to fetch when the commit cannot be fetched by its id.
    pub(super) fn ref_to_fetch(&self) -> &str {
        if self.reference.is_empty() { "HEAD" } else { &self.reference }
    }

    /// The directory of a repository on this machine.
    pub(super) fn local_path(&self) -> Option<PathBuf> {
        match self.url.strip_prefix("file://") {
            Some(path) => Some(PathBuf::from(path)),
            None => self.url.starts_with('/').then(|| PathBuf::from(&self.url)),
        }
    }

    /// Makes sure that the commit is the one that was wanted.
    pub(super) fn verify(&self, found: &str) -> Result<(), CheckoutError> {
        if found.starts_with(&self.sha) {
            return Ok(());
        }
        Err(CheckoutError::WrongCommit { found: found.to_owned(), wanted: self.sha.clone() })
    }
}

impl Credential {
    fn of(auth: &GitAuth) -> Self {
        match auth.kind.as_str() {
            "basic" => Self::Basic {
                user: auth.user.clone().unwrap_or_else(|| TOKEN_USER.to_owned()),
                secret: auth.secret.clone(),
            },
            "ssh" => Self::Ssh {
                key: auth.secret.clone(),
                known_hosts: auth.ssh_known_hosts_pem.clone().filter(|_| {
                    auth.ssh_host_key_policy.as_deref().is_none_or(|policy| policy == "pinned")
                }),
            },
            kind => Self::Unknown { kind: kind.to_owned() },
        }
    }
}

/// Takes `user:password@` out of an HTTP URL; other URLs stay as they are.
fn split_credential(url: &str) -> (String, Option<Credential>) {
    let parts = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    let Some((scheme, rest)) = parts else { return (url.to_owned(), None) };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else { return (url.to_owned(), None) };
    let (user, secret) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
    let credential = Credential::Basic { user: decode(user), secret: decode(secret) };
    (format!("{scheme}://{}", &rest[at + 1..]), Some(credential))
}

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_in_the_url_is_taken_out() {
        let source = Source::new("https://me:p%40ss@host/r.git", "refs/heads/main", "HEAD", None);
        assert_eq!(source.url, "https://host/r.git");
        assert_eq!((source.reference.as_str(), source.sha.as_str()), ("main", ""));
        let Credential::Basic { user, secret } = source.credential else { panic!("no credential") };
        assert_eq!((user.as_str(), secret.as_str()), ("me", "p@ss"));
        let source = Source::new("git@host:r.git", "refs/pull/1/head", "ABC", None);
        assert_eq!(source.url, "git@host:r.git");
        assert_eq!((source.reference.as_str(), source.sha.as_str()), ("refs/pull/1/head", "abc"));
        assert!(source.full_sha().is_none());
    }
}

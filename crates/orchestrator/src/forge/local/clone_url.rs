//! Where agents clone a local repository from.

use std::path::Path;

use super::super::ForgeError;
use super::super::repository::{check_name, resolve};

/// Where agents clone a repository from.
pub(in crate::forge) fn clone_url(
    base: &Path,
    clone_url_base: Option<&str>,
    repo: &str,
) -> Result<String, ForgeError> {
    check_name(repo).map_err(ForgeError::Permanent)?;
    if let Some(url) = clone_url_base {
        let url = url.trim_end_matches('/');
        return Ok(if repo == "." { url.to_owned() } else { format!("{url}/{repo}") });
    }
    let path = resolve(base, repo)?;
    Ok(format!("file://{}", percent_encoded(&path)))
}

/// git decodes URLs, so that what is special in one has to be written out.
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'+'
            | b'@' => {
                url.push(char::from(*byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}

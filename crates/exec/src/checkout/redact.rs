//! Takes credentials out of what git says before anyone sees it.

/// A URL without user and password.
pub(crate) fn url(url: &str) -> String {
    text(url)
}

/// A text in which nothing between `://` and `@` is left.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"'))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(sign) => {
                out.push_str("***@");
                &after[sign + 1..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The same, and without the given secrets.
pub(super) fn with_secrets(said: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text(said), |said, secret| said.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_do_not_show() {
        assert_eq!(
            text("fatal: 'https://u:p@h.example/r.git/' and ssh://git@h/x, https://h/a@b"),
            "fatal: 'https://***@h.example/r.git/' and ssh://***@h/x, https://h/a@b"
        );
        assert_eq!(with_secrets("token abc", &["abc".to_owned(), String::new()]), "token ***");
    }
}

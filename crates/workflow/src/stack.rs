//! Makes stack traces short: paths relative to the repository, no frames of our own guest.
//!
//! The engines already report positions in the author's TypeScript (`embedded::trace`, Node's source maps).

use std::path::Path;

/// Frames at these places are ours or the engine's, not the author's.
const INTERNAL: [&str; 5] = ["kici:", "node:internal", "(native)", "node:async_hooks", "[eval"];

/// A stack as the author should see it.
pub(crate) fn tidy(stack: &str, root: &Path) -> String {
    let root = root.to_string_lossy();
    let mut lines = Vec::new();
    for line in stack.lines() {
        if !is_frame(line) {
            lines.push(line.to_owned());
        } else if !INTERNAL.iter().any(|internal| line.contains(internal)) {
            lines.push(
                line.replace(&format!("file://{root}/"), "").replace(&format!("{root}/"), ""),
            );
        }
    }
    lines.join("\n")
}

fn is_frame(line: &str) -> bool {
    line.starts_with(' ') && line.trim_start().starts_with("at ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_and_our_own_frames_go() {
        let stack = "Error: at /r/ci.ts it hurts\n    at run (/r/.kici/workflows/ci.ts:3:9)\n    at call (kici:guest.js:1:2)\n    at file:///r/.kici/workflows/ci.ts:9:1";
        assert_eq!(
            tidy(stack, Path::new("/r")),
            "Error: at /r/ci.ts it hurts\n    at run (.kici/workflows/ci.ts:3:9)\n    at .kici/workflows/ci.ts:9:1"
        );
    }
}

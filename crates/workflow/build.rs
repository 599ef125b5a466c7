//! Finds the bundles of `packages/sdk`, which go into the binary.

use std::path::Path;
use std::process::exit;

const BUNDLES: [&str; 4] = ["sdk.js", "guest.js", "node-main.js", "sdk.d.ts"];

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk/dist");
    let missing: Vec<&str> =
        BUNDLES.into_iter().filter(|bundle| !dist.join(bundle).is_file()).collect();
    for bundle in BUNDLES {
        println!("cargo::rerun-if-changed={}", dist.join(bundle).display());
    }
    if !missing.is_empty() {
        println!(
            "cargo::error=the built-in SDK is not bundled yet (missing in packages/sdk/dist: {}); run `cargo xtask setup`",
            missing.join(", ")
        );
        exit(1);
    }
    println!("cargo::rustc-env=KICI_SDK_DIST={}", dist.display());
}

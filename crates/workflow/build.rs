//! Finds the bundles of `packages/sdk`, which go into the binary.
//!
//! `KICI_SDK_DIST` takes them from elsewhere, for builds that bundle in another place.

use std::path::PathBuf;
use std::process::exit;

const BUNDLES: [&str; 4] = ["sdk.js", "guest.js", "node-main.js", "sdk.d.ts"];

fn main() {
    println!("cargo::rerun-if-env-changed=KICI_SDK_DIST");
    let dist = match std::env::var_os("KICI_SDK_DIST") {
        Some(dist) => PathBuf::from(dist),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk/dist"),
    };
    let missing: Vec<&str> =
        BUNDLES.into_iter().filter(|bundle| !dist.join(bundle).is_file()).collect();
    for bundle in BUNDLES {
        println!("cargo::rerun-if-changed={}", dist.join(bundle).display());
    }
    if !missing.is_empty() {
        println!(
            "cargo::error=the built-in SDK is not bundled yet (missing in {}: {}); run `cargo xtask setup`",
            dist.display(),
            missing.join(", ")
        );
        exit(1);
    }
    println!("cargo::rustc-env=KICI_SDK_DIST={}", dist.display());
}

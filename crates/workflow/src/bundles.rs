//! What `packages/sdk` builds, as it goes into the binary. `build.rs` makes sure that it is there.

/// The SDK: what `import … from '@kici-dev/sdk'` gives.
pub(crate) const SDK: &str = include_str!(concat!(env!("KICI_SDK_DIST"), "/sdk.js"));

/// The guest: loads the entry, describes it, builds contexts, answers calls.
pub(crate) const GUEST: &str = include_str!(concat!(env!("KICI_SDK_DIST"), "/guest.js"));

/// The two as bytecode of the QuickJS that is linked into this very binary.
pub(crate) const SDK_BYTECODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sdk.js.bytecode"));
pub(crate) const GUEST_BYTECODE: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/guest.js.bytecode"));

/// The main module of the Node engine's child process.
pub(crate) const NODE_MAIN: &str = include_str!(concat!(env!("KICI_SDK_DIST"), "/node-main.js"));

/// The type declarations of `@kici-dev/sdk`, for editors.
pub fn sdk_types() -> &'static str {
    include_str!(concat!(env!("KICI_SDK_DIST"), "/sdk.d.ts"))
}

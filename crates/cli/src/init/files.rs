//! The files that `kici init` writes.

/// Whose file it is after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The author's: never overwritten.
    Author,
    /// This program's: renewed.
    Kici,
}

/// One file.
pub(super) struct File {
    /// Relative to the project root.
    pub(super) path: &'static str,
    pub(super) owner: Owner,
    /// Only for a project without workflows.
    pub(super) sample: bool,
    pub(super) content: fn() -> &'static str,
}

/// In the order they are written.
pub(super) const FILES: &[File] = &[
    File {
        path: ".kici/workflows/ci.ts",
        owner: Owner::Author,
        sample: true,
        content: || include_str!("ci.ts"),
    },
    File {
        path: ".kici/tsconfig.json",
        owner: Owner::Author,
        sample: false,
        content: || include_str!("tsconfig.json"),
    },
    File {
        path: ".kici/package.json",
        owner: Owner::Author,
        sample: false,
        content: || "{\n  \"name\": \"workflows\",\n  \"private\": true,\n  \"type\": \"module\"\n}\n",
    },
    File {
        path: ".kici/.gitignore",
        owner: Owner::Author,
        sample: false,
        content: || "node_modules/\ntypes/\n.secrets\n",
    },
    File {
        path: ".kici/types/kici-sdk.d.ts",
        owner: Owner::Kici,
        sample: false,
        content: kici_workflow::sdk_types,
    },
];

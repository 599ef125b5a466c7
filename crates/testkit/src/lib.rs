//! KiCI testkit.

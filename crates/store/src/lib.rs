//! KiCI store.

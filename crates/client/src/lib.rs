//! KiCI client.

//! KiCI protocol.

//! KiCI model.

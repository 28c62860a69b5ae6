//! From staged bytes to renditions.

//! What git prints, and names for branches. PURE.

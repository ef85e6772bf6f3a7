//! Raw bindings to PJSIP.

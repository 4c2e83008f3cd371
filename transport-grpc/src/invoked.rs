//! Who is told of calls that travel through `Invoke`.

use std::{fmt, sync::Arc};

use comity_core::call::OperationSpec;

/// Is told of each call that no typed message carries: its operation, which is `Unregistered` for one that no row knows. It must not block.
#[derive(Clone)]
pub struct OnInvoke(Arc<dyn Fn(&'static OperationSpec) + Send + Sync>);

impl OnInvoke {
    /// Tells `told`.
    pub fn new(told: impl Fn(&'static OperationSpec) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(crate) fn tell(&self, spec: &'static OperationSpec) {
        (self.0)(spec);
    }
}

impl fmt::Debug for OnInvoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInvoke")
    }
}

//! The first Redis nodes: the pods of a headless Service, which DNS knows.

use std::pin::Pin;
use std::sync::Arc;

use wsmesh_adapter::{FirstNodes, FoundNodes, NodeUrl};

use crate::settings::RedisService;

/// Asks DNS for the pods of a Service.
#[derive(Debug)]
struct Pods {
    service: RedisService,
}

/// The pods of a Service, for the options of the adapter.
pub(crate) fn first_nodes(service: RedisService) -> Arc<dyn FirstNodes> {
    Arc::new(Pods { service })
}

impl FirstNodes for Pods {
    fn login(&self) -> &NodeUrl {
        self.service.url()
    }

    fn find(&self) -> Pin<Box<dyn Future<Output = FoundNodes> + Send + '_>> {
        Box::pin(async { Err("DNS is not asked yet".to_owned()) })
    }
}

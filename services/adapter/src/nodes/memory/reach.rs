//! The way from one server to a node of the embedded bus: opens connections.

use std::sync::Arc;

use super::connection::{MemoryPublisher, MemorySubscriber, refused};
use super::inquiry::MemoryInquiry;
use super::link::{Connected, Link};
use super::node::MemoryNode;
use crate::nodes::endpoint::Endpoint;
use crate::nodes::inquiry::{Inquiry, Interview};
use crate::nodes::link::{Boxed, LinkError, Publisher, Subscriber};

/// A node, reached over one server's link.
pub(super) struct Reach {
    /// The node that the link leads to, unless it leads elsewhere.
    pub(super) node: Arc<MemoryNode>,
    pub(super) link: Arc<Link>,
}

impl Reach {
    fn node(&self) -> Arc<MemoryNode> {
        self.link.elsewhere().unwrap_or_else(|| self.node.clone())
    }

    async fn connect(&self) -> Result<Connected, LinkError> {
        self.link.connect().await.ok_or_else(refused)
    }
}

impl Endpoint for Reach {
    fn address(&self) -> String {
        format!("memory:{}", self.node.id)
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let node = self.node();
            let life = node.connect(|state| state.life).await?;
            Ok(Arc::new(MemoryPublisher { node, link, life }) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let node = self.node();
            let (life, (id, wake)) = node.connect(|state| (state.life, state.attach())).await?;
            let subscriber = MemorySubscriber {
                node,
                link,
                id,
                life,
                wake,
            };
            Ok(Box::new(subscriber) as Box<dyn Subscriber>)
        })
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn reach(&self) -> Boxed<'_, Result<(), LinkError>> {
        Box::pin(async { self.connect().await.map(drop) })
    }

    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let node = self.node();
            node.connect(|_| ()).await?;
            Ok(Box::new(MemoryInquiry::new(node, link)) as Box<dyn Inquiry>)
        })
    }

    fn interview(&self) -> Boxed<'_, Result<Box<dyn Interview>, LinkError>> {
        Box::pin(async {
            let link = self.connect().await?;
            let node = self.node();
            node.connect(|_| ()).await?;
            Ok(Box::new(MemoryInquiry::new(node, link)) as Box<dyn Interview>)
        })
    }
}

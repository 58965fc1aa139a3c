//! The first Redis nodes: the pods of a headless Service of Kubernetes, which DNS knows by SRV records. Each look asks anew, with
//! the configuration that the system has at that moment; nothing is cached.

mod pods;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{TokioResolver, system_conf};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use wsmesh_adapter::{FirstNodes, FoundNodes, NodeUrl};

use crate::settings::RedisService;

/// Longest wait for one answer of a name server, and how often it is asked.
const ANSWER: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// Longest look: there may be several name servers and search domains.
const LOOK: Duration = Duration::from_secs(8);

/// Which name servers are asked, and how.
type Configured = Arc<dyn Fn() -> Result<(ResolverConfig, ResolverOpts), NetError> + Send + Sync>;

/// Asks DNS for the pods of a Service.
struct Pods {
    service: RedisService,
    configured: Configured,
}

/// The pods of a Service, for the options of the adapter.
pub(crate) fn first_nodes(service: RedisService) -> Arc<dyn FirstNodes> {
    Arc::new(Pods {
        service,
        configured: Arc::new(system_conf::read_system_conf),
    })
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pods({})", self.service.name())
    }
}

impl FirstNodes for Pods {
    fn login(&self) -> &NodeUrl {
        self.service.url()
    }

    fn find(&self) -> Pin<Box<dyn Future<Output = FoundNodes> + Send + '_>> {
        Box::pin(async {
            let targets = timeout(LOOK, self.targets()).await;
            let targets = targets.unwrap_or_else(|_| Err(format!("DNS did not answer within {} s", LOOK.as_secs())))?;
            pods::nodes(&self.service, &targets)
        })
    }
}

impl Pods {
    /// The names of the pods.
    async fn targets(&self) -> Result<Vec<Name>, String> {
        let question = format!("_redis._tcp.{}", self.service.name());
        let failed = |error: NetError| explained(&question, &error);
        let configured = self.configured.clone();
        // It reads a file.
        let read = spawn_blocking(move || configured()).await;
        let (config, mut options) = read
            .map_err(|error| failed(error.to_string().into()))?
            .map_err(failed)?;
        options.cache_size = 0;
        options.timeout = options.timeout.min(ANSWER);
        options.attempts = options.attempts.min(ATTEMPTS);
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(failed)?;
        // As it is: other ways to read a name know no underscores.
        let name = Name::from_ascii(&question).map_err(|error| failed(error.into()))?;
        let found = resolver.srv_lookup(name).await.map_err(failed)?;
        let targets = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.target.clone()),
            _ => None,
        });
        Ok(targets.collect())
    }
}

fn explained(question: &str, error: &NetError) -> String {
    match error {
        _ if error.is_no_records_found() => format!(
            "DNS has no record {question}: is there a headless Service of this name with a port named redis, and is one of its pods \
             ready?"
        ),
        NetError::Timeout => format!("no name server answered in time ({question})"),
        error => format!("DNS could not be asked for {question}: {error}"),
    }
}

//! The parts that carry messages, and how they are joined. Holds them, and does nothing itself.

use std::sync::Arc;

use tokio::sync::watch;

use super::catchup::CatchUp;
use crate::cluster::Requests;
use crate::flow::ask::client_requests::ClientRequests;
use crate::flow::ask::holders::Holders;
use crate::flow::ask::requests::ServerRequests;
use crate::flow::clients::local_clients::LocalClients;
use crate::flow::clients::subscriptions::Subscriptions;
use crate::flow::inward::answers::Answers;
use crate::flow::inward::client_data::DataOrders;
use crate::flow::inward::dispatch::Dispatch;
use crate::flow::inward::queries::Queries;
use crate::flow::inward::wanted::Wants;
use crate::flow::outward::outbound::Outbound;
use crate::flow::state::foundation::Foundation;
use crate::local::Hub;
use crate::nodes::NodeStatus;

/// The parts that carry messages.
#[derive(Debug)]
pub(crate) struct FlowParts {
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) clients: Arc<LocalClients>,
    pub(crate) client_requests: Arc<ClientRequests>,
    /// This server's requests that wait for replies.
    pub(crate) requests: Arc<Requests>,
    pub(crate) server_requests: Arc<ServerRequests>,
    pub(crate) holders: Holders,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) catch_up: Arc<CatchUp>,
}

impl FlowParts {
    pub(crate) fn new(
        foundation: &Foundation,
        hub: &Arc<Hub>,
        statuses: watch::Receiver<Arc<Vec<NodeStatus>>>,
    ) -> Self {
        let on = foundation;
        let subscriptions = Arc::new(Subscriptions::new(on));
        let clients = LocalClients::new(hub.clone(), subscriptions.clone(), on.options.shards, on.origin());
        let clients = Arc::new(clients);
        let outbound = Arc::new(Outbound::new(on));
        let requests = Arc::new(Requests::new(on.members.instance()));
        let answers = Arc::new(Answers::new(on, outbound.clone(), requests.clone()));
        let queries = Queries::new(clients.clone(), statuses, on);
        let wants = Wants::new(subscriptions.interest().clone(), on.hearing.started());
        let data_orders = DataOrders::new(hub.clone());
        let dispatch = Arc::new(Dispatch::new(answers, queries, wants, data_orders, on.metrics.clone()));
        let server_requests = Arc::new(ServerRequests::new(
            on,
            hub.clone(),
            outbound.clone(),
            dispatch.clone(),
            requests.clone(),
        ));
        let holders = Holders::new(on, outbound.clone(), requests.clone(), subscriptions.clone());
        let client_requests = ClientRequests::new(
            on,
            hub.clone(),
            outbound.clone(),
            requests.clone(),
            subscriptions.clone(),
        );
        let catch_up = CatchUp::new(on, outbound.clone(), server_requests.clone());
        Self {
            subscriptions,
            clients,
            client_requests: Arc::new(client_requests),
            requests,
            server_requests,
            holders,
            outbound,
            dispatch,
            catch_up: Arc::new(catch_up),
        }
    }
}

// The lag of the cluster: how long messages take from one server to another.

/** The lag of all servers together, if admin tells it; else that of the server with the longest. */
export function worstLag({ totals, servers = [] }) {
  if (totals?.lagMs) return totals.lagMs;
  const known = servers.map(({ lagMs }) => lagMs).filter((lag) => lag && lag.p99 !== null && lag.p99 !== undefined);
  return known.reduce((worst, lag) => (worst && worst.p99 >= lag.p99 ? worst : lag), null);
}

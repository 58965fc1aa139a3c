// The dashboard: views over one stream of news and admin's API.
import { Audit } from "./audit.js";
import { guardControls } from "./caller.js";
import { startClients } from "./clients.js";
import { startDialog } from "./dialog.js";
import { byId, write } from "./dom.js";
import { History } from "./history.js";
import { Jobs } from "./jobs.js";
import { Live } from "./live.js";
import { startLogin } from "./login.js";
import { startMatrix } from "./matrix.js";
import { NodesView } from "./nodes.js";
import { startNotice } from "./notice.js";
import { startOverview } from "./overview.js";
import { Plots } from "./plots.js";
import { startAddition } from "./preflight.js";
import { startRooms } from "./rooms.js";
import { startScaling } from "./scale.js";
import { startSending } from "./sending.js";
import { ServersView } from "./servers.js";
import { startStatus } from "./status.js";
import { startTheme } from "./theme.js";
import { startViews } from "./views.js";
import { Watch } from "./watch.js";

guardControls();
startNotice();
startDialog();

const live = new Live();
const jobs = new Jobs(live);
const history = new History(live);
const plots = new Plots(history);
const watch = new Watch();
startStatus(live);
startMatrix(live);
new ServersView(live);
new NodesView(live, jobs);
new Audit(live);
startScaling(live, jobs);
startAddition(jobs);
const rooms = startRooms();
const clients = startClients(watch);
rooms.onMember((id) => clients.find(id));
clients.onRoom((room) => rooms.open(room));
startOverview(live, { client: (id) => clients.find(id), room: (room) => rooms.open(room) });
startSending();
startViews();
startTheme(() => plots.paint());
live.on("snapshot", ({ cluster }) => {
  const versions = new Set(cluster.services.flatMap(({ servers }) => servers.map(({ version }) => version)));
  write(byId("version"), `wsmesh ${[...versions].sort().join(", ")}`);
});

startLogin(
  () => live.start(),
  () => {
    // The next caller may be allowed to see less.
    for (const part of [live, watch, clients, rooms]) part.stop();
  },
);
